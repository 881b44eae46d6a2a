#include "daemon/gate/worker.hpp"

#include "daemon/core/counters.hpp"
#include "daemon/core/thread.hpp"
#include "daemon/gate/exempt_listeners.hpp"
#include "daemon/log/log.hpp"
#include "daemon/owners/investigator.hpp"
#include "flow/packet.hpp"
#include "label/cipso.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <linux/capability.h>
#include <netinet/tcp.h>

namespace ubf {
namespace {

// A case that takes no longer than a round of packets is not looked at once more.
constexpr std::chrono::milliseconds brief{1};
// A case that waits for a search outlives the question before it by this much.
constexpr std::chrono::milliseconds grace{50};

// No process was found behind the socket: time ran out, or it is on its way from one to another.
bool was_not_found(const Owner& owner) {
    return owner.kind == OwnerKind::user && owner.credentials && !owner.credentials->gid &&
           owner.credentials->process.pid == Pid{};
}

AllowedFlow allowed_flow(const Case& item, Reason reason) {
    AllowedFlow allowed;
    allowed.flow = item.flow();
    allowed.reason = reason;
    allowed.reply = item.facts.reply;
    allowed.fabric = item.fabric;
    allowed.interface = item.interface;
    allowed.sequence = item.sequence;
    allowed.listener = Party::of(item.facts.listener());
    allowed.connector = Party::of(item.facts.connector());
    allowed.since = item.since;
    return allowed;
}

// Deciding again looks at the socket, and at changes, by itself (FlowBook). And what IPVS sends
// elsewhere could not be ended here.
bool is_checked_otherwise(const Case& item) {
    return item.again || item.destination.is_virtual_service();
}

UdpFlows::Ends ends_of(const Case& item) {
    const auto& destination = item.destination.socket;
    return {destination.cookie, destination.uid,
            item.source ? std::optional(item.source->socket.cookie) : std::nullopt, item.since};
}

} // namespace

Worker::Worker(std::unique_ptr<Queue> queue, ident::Asker& asker,
               std::shared_ptr<const Rules> rules, Shared shared)
  : queue_(std::move(queue))
  , rules_(std::move(rules))
  , shared_(shared)
  , finder_(rules_, shared)
  , questions_(asker, rules_, shared)
  , leases_(shared.table, shared.udp_flows, shared.counters)
  , book_(rules_, shared, finder_.loopback())
  , heartbeat_(fmt::format("gate of queue {}", queue_->number())) {
    asker.set_handler([this](const Flow& flow, Questions::Heard heard, const Owner& owner) {
        answered(flow, heard, owner);
    });
    loop_.watch(queue_->fd(), [this] { receive(); });
    loop_.watch(asker.fd(), [&asker] { asker.receive(); });
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    thread_ = std::thread([this] { run(); });
}

void Worker::begin_stop() {
    mailbox_.post([this] {
        if (stop_by_)
            return;
        stop_by_ = Clock::now() + rules_->deadline + grace;
        loop_.forget(queue_->fd());
    });
}

void Worker::stop() {
    if (!thread_.joinable())
        return;
    begin_stop();
    thread_.join();
}

// --- from other threads; each settles first, so that what was just allowed is in the book ---

void Worker::set_rules(std::shared_ptr<const Rules> rules, bool review) {
    mailbox_.post([this, rules = std::move(rules), review] {
        settle();
        rules_ = rules;
        finder_.set_rules(rules_);
        questions_.set_rules(rules_);
        book_.set_rules(rules_, review);
        // Here, so that what the old ones brought is behind us.
        shared_.exempt_listeners.forget_all();
        shared_.udp_flows.forget_denied();
    });
}

void Worker::reconsider(Uid uid) {
    mailbox_.post([this, uid] {
        settle();
        book_.hasten(uid);
    });
}

void Worker::reconsider(const Flow& flow) {
    mailbox_.post([this, flow] {
        if (auto* item = cases_.find(flow))
            item->stale = true;
        settle();
        book_.hasten(flow);
    });
}

void Worker::list(FlowFilter filter, std::size_t most, FlowWalks::Done done) {
    mailbox_.post([this, filter = std::move(filter), most, done = std::move(done)] {
        settle();
        book_.list(filter, most, done);
    });
}

void Worker::revoke(FlowFilter filter, FlowWalks::Done done) {
    mailbox_.post([this, filter = std::move(filter), done = std::move(done)] {
        settle();
        book_.revoke(filter, done);
    });
}

void Worker::take_known(std::vector<UndecidedFlow> flows,
                        std::function<void(std::vector<UndecidedFlow>)> done) {
    mailbox_.post([this, flows = std::move(flows), done = std::move(done)]() mutable {
        settle();
        book_.take_known(flows, [this](const Flow& flow) { return cases_.contains(flow); });
        done(std::move(flows));
    });
}

void Worker::judge(std::vector<UndecidedFlow> flows) {
    mailbox_.post([this, flows = std::move(flows)] {
        for (const auto& undecided : flows)
            if (!cases_.contains(undecided.flow))
                book_.add_undecided(undecided);
    });
}

void Worker::adopt(std::vector<UndecidedFlow> flows) {
    mailbox_.post([this, flows = std::move(flows)] {
        for (const auto& recognised : flows)
            if (!cases_.contains(recognised.flow))
                book_.add_recognised(recognised);
    });
}

// --- the thread ---

void Worker::run() {
    enter_thread("gate", {CAP_NET_ADMIN}); // for verdicts, and to make the kernel forget a flow
    while (!stop_by_ || (!cases_.empty() && Clock::now() < *stop_by_)) {
        const auto latest = Clock::now() + Heartbeat::period;
        loop_.run_once(std::min(next().value_or(latest), latest));
        settle(); // before all that can wait
        const auto now = Clock::now();
        heartbeat_.beat(now);
        questions_.asker().on_time(now);
        while (auto expired = cases_.take_expired(now))
            give_up(std::move(expired));
        for (const auto& due :
             book_.take_due(now, [this](const Flow& flow) { return cases_.contains(flow); })) {
            auto& item =
                add_arrived({0, due.interface, due.fabric, {}, now, Facts{due.flow, due.reply}});
            item.again = true;
            if (!due.is_udp())
                finder_.find_translation(item);
        }
        begin_arrived();
        book_.go_on();
        settle();
        hold_back();
    }
    // Dropped, not denied: whoever starts next is asked again.
    while (auto item = cases_.take_any())
        item->judge(Reason::overload);
    queue_->flush();
}

// Sends what this round brought: questions first, since their answers take longest.
void Worker::settle() {
    questions_.asker().flush();
    leases_.write();
    queue_->flush();
    for (const auto& allowed : leases_.confirm())
        book_.add(allowed);
}

std::optional<TimePoint> Worker::next() const {
    if (queue_->has_unsent())
        return Clock::now() + std::chrono::milliseconds(1);
    std::optional<TimePoint> when;
    for (const auto& each : {questions_.next(), cases_.next(), book_.next()})
        if (each && (!when || *each < *when))
            when = each;
    return when;
}

// Leaves packets that can't be asked about yet in the kernel, where they take no place and are not
// dropped.
void Worker::hold_back() {
    if (stop_by_ || held_back_ == questions_.asker().is_pressed())
        return;
    held_back_ = !held_back_;
    if (held_back_)
        loop_.pause(queue_->fd());
    else
        loop_.resume(queue_->fd());
}

// --- a case begins ---

void Worker::receive() {
    queue_->receive([this](Arrival arrival) { arrive(std::move(arrival)); });
    begin_arrived();
}

void Worker::arrive(Arrival arrival) {
    const auto packet = parse_packet(arrival.bytes);
    if (!packet) {
        arrival.packet.judge(Reason::malformed);
        return;
    }
    const auto tracked = parse_translated(arrival.tracked);
    const bool translated = arrival.translated || tracked;
    if (auto* item = cases_.find(packet->flow))
        return item->join(std::move(arrival.packet), packet->sequence, translated);
    auto stated = rules_->selinux ? stated_level(arrival.bytes) : std::nullopt;
    auto& item = add_arrived({0, arrival.interface, arrival.fabric, std::move(arrival.packet),
                              Clock::now(), Facts{packet->flow, arrival.reply}});
    item.sequence = packet->sequence;
    item.facts.stated = std::move(stated);
    item.facts.translated = translated;
    if (tracked)
        Finder::note_translation(item, *tracked);
    else if (translated)
        finder_.find_translation(item);
}

Case& Worker::add_arrived(Case&& item) {
    item.number = ++last_number_;
    item.begun = shared_.investigator.changes().now();
    return arrived_.emplace_back(std::move(item));
}

// The sockets of all that is to be decided are looked up at once.
void Worker::begin_arrived() {
    if (arrived_.empty())
        return;
    const auto ends = finder_.look_up(arrived_);
    for (std::size_t i = 0; i < arrived_.size(); ++i) {
        auto& item = arrived_[i];
        if (auto* earlier = cases_.find(item.flow()))
            earlier->join(std::move(item.packet), item.sequence, item.facts.translated);
        else
            begin(std::move(item), ends[i]);
    }
    arrived_.clear();
}

void Worker::begin(Case&& item, const OwnerLookup::Ends& ends) {
    const auto& destination = ends.receiver;
    if (!destination && destination.error() == LookupError::none)
        return begin_at_closed_port(std::move(item), ends.sender);
    finder_.place(item, ends);
    auto& facts = item.facts;
    facts.repeated = is_repeated(item);
    if (is_checked_otherwise(item))
        facts.same_destination = facts.fresh_labels = true;
    else if (Clock::now() - item.since <= brief)
        facts.same_destination = true;
    if (destination && !facts.repeated)
        shared_.counters.methods.add(Method::socket);
    go_on(std::move(item));
}

// The log names those who try many ports where nobody listens. For that alone their node is asked,
// about one packet a second; all others are refused at once, as without a firewall.
void Worker::begin_at_closed_port(Case&& item, const OwnerLookup::Found& source) {
    auto& facts = item.facts;
    const auto& [protocol, from, to] = item.flow();
    facts.destination = Owner{};
    if (!facts.reply && !item.again)
        item.tries = closed_ports_.add(from.address,
                                       source ? std::optional(source->owner.uid) : std::nullopt,
                                       to.port, Clock::now());
    if (item.tries > 0 && source)
        facts.source =
            shared_.investigator.known(*source, ident::Role::connector).value_or(source->owner);
    else if (item.tries > 0 && !finder_.on_this_node(item)) {
        facts.source = finder_.unasked(item);
        if (!facts.source && ask(item) == Fact::comes_later)
            return wait(std::move(item));
    }
    go_on(std::move(item));
}

// A SYN that opens nothing: a SYN of its flow was let in already, and the kernel answers again by
// itself. If the connection is there, only the very SYN that began it counts: another one may be of
// a node that has forgotten it.
bool Worker::is_repeated(const Case& item) const {
    const auto& [owner, socket, sharing, begun] = item.destination;
    if (item.flow().protocol != Protocol::tcp || item.facts.reply || item.again ||
        item.facts.translated)
        return false;
    if (begun == TCP_SYN_RECV)
        return true;
    return (begun == TCP_ESTABLISHED || socket.state == TCP_ESTABLISHED) &&
           book_.began(item.flow(), item.sequence);
}

// --- the inquiry ---

void Worker::go_on(Case&& item) {
    for (;;) {
        const auto step = ubf::next(item.facts, finder_.policy(item));
        if (const auto* reason = std::get_if<Reason>(&step))
            return close(std::move(item), *reason);
        if (find(item, std::get<Need>(step)) == Fact::comes_later)
            return wait(std::move(item));
    }
}

Worker::Fact Worker::find(Case& item, Need need) {
    auto& facts = item.facts;
    switch (need) {
    case Need::destination:
    case Need::source: // begin() has both
        facts.failed = Reason::internal_error;
        break;
    case Need::answer:
        return item.question ? Fact::comes_later : ask(item);
    case Need::group:
        facts.group_asked = true;
        facts.source.reset();
        return ask(item, facts.destination->credentials->gid);
    case Need::credentials:
        return find_credentials(item);
    case Need::sharers:
        finder_.find_sharers(item);
        break;
    case Need::same_destination:
        facts.same_destination =
            Clock::now() - item.since <= brief || finder_.is_same_destination(item);
        break;
    case Need::fresh_labels:
        facts.fresh_labels = !finder_.is_stale(item);
        break;
    }
    return Fact::known;
}

Worker::Fact Worker::ask(Case& item, std::optional<Gid> group) {
    const auto sent = questions_.ask(item, group);
    if (sent.gave_way)
        give_up(cases_.take(*sent.gave_way));
    return sent.yes ? Fact::comes_later : Fact::known;
}

// Searches for both ends run at once.
Worker::Fact Worker::find_credentials(Case& item) {
    for (const auto end : {Need::destination, Need::source}) {
        if (end == Need::source && !item.source)
            continue;
        if (!finder_.know_credentials(item, end) && !search(item, end)) {
            item.facts.failed = Reason::overload;
            return Fact::known;
        }
    }
    return item.searches == 0 ? Fact::known : Fact::comes_later;
}

// False where too many wait already.
bool Worker::search(Case& item, Need end) {
    const bool begun = shared_.investigator.find(
        socket_of(item, end), role_of(item.facts, end), Clock::now() + rules_->deadline,
        [this, flow = item.flow(), number = item.number, end](Owner result, bool in_time) {
            mailbox_.post([this, flow, number, end, in_time, result = std::move(result)] {
                found(flow, number, end, result, in_time);
            });
        });
    item.searches += begun ? 1 : 0;
    return begun;
}

void Worker::wait(Case&& item) {
    if (!is_checked_otherwise(item))
        item.facts.same_destination.reset();
    cases_.wait(std::move(item), Clock::now() + rules_->deadline + grace);
}

void Worker::answered(const Flow& flow, Questions::Heard heard, const Owner& owner) {
    if (heard == Questions::Heard::uid)
        return named(flow, owner);
    questions_.end(flow);
    auto item = cases_.take(flow);
    if (!item)
        return;
    questions_.answered(*item, heard, owner);
    if (owner.kind != OwnerKind::unknown || heard == Questions::Heard::owner)
        finder_.learn(*item, Need::source, owner);
    go_on(std::move(*item));
}

// The peer has said whose the flow is, and looks for the credentials. If these don't matter, the
// case is decided; otherwise the question counts for that user from now on.
void Worker::named(const Flow& flow, const Owner& owner) {
    auto* item = cases_.find(flow);
    if (item == nullptr)
        return;
    finder_.learn(*item, Need::source, owner);
    item->facts.more_follows = true;
    if (ubf::next(item->facts, finder_.policy(*item)) != Step(Need::answer))
        return go_on(std::move(*cases_.take(flow)));
    if (const auto over = questions_.name(flow, owner.uid))
        give_up(cases_.take(*over));
}

void Worker::found(const Flow& flow, std::uint64_t number, Need end, Owner owner, bool in_time) {
    auto* item = cases_.find(flow, number);
    if (item == nullptr)
        return; // it took too long, and the packet is judged
    if (!in_time)
        item->facts.out_of_time = for_want_of_time(*item);
    finder_.learn(*item, end, std::move(owner));
    if (--item->searches == 0)
        go_on(std::move(*cases_.take(flow)));
}

// --- a case ends ---

// The packet is dropped, and its retransmission begins anew; except where nobody listens.
void Worker::give_up(std::optional<Case> item) {
    if (!item)
        return;
    const auto reason = item->tries > 0 ? Reason::no_listener : Reason::overload;
    close(std::move(*item), reason);
}

void Worker::close(Case&& item, Reason reason) {
    questions_.withdraw(item);
    if (item.tries > 0)
        log_scan(item);
    if (item.again) {
        close_again(item, reason);
        if (item.more.empty())
            return;
        // Packets came meanwhile. They are judged by what is known, as any others.
        item.again = false;
        item.facts.same_destination = item.facts.fresh_labels = std::nullopt;
        if (action_of(reason) == Action::allow)
            return go_on(std::move(item));
    }
    if (action_of(reason) == Action::allow && !item.destination.is_virtual_service())
        reason = remember_allowed(item, reason);
    item.judge(reason);
    if (reason == Reason::exempt_listener)
        remember_listener(item);
    if (action_of(reason) != Action::deny)
        return;
    remember_denied(item, reason);
    report(item, reason);
}

// A flow that is still allowed goes on, and one that isn't ends.
void Worker::close_again(const Case& item, Reason reason) {
    const auto& facts = item.facts;
    const auto next = book_.conclude(
        {allowed_flow(item, reason), finder_.is_same_destination(item), finder_.is_stale(item),
         was_not_found(facts.listener()) || was_not_found(facts.connector())});
    if (next.renew)
        leases_.renew(*next.renew);
    if (next.report)
        report(item, reason);
}

// An allowed flow is known from now on. If it can't be, it must not be allowed.
Reason Worker::remember_allowed(const Case& item, Reason reason) {
    auto allowed = allowed_flow(item, reason);
    if (allowed.is_udp())
        return leases_.allow(std::move(allowed), ends_of(item)) ? reason : Reason::gone;
    return book_.add(allowed) ? reason : Reason::no_room;
}

// Only a denial whose sockets' end would be told, or where no socket of ours is concerned.
// Otherwise a user could deny a port, close it, and keep its next owner out.
void Worker::remember_denied(const Case& item, Reason reason) {
    if (item.flow().protocol != Protocol::udp)
        return;
    const auto& source = item.facts.reply ? item.facts.listener() : item.facts.connector();
    const bool known = source.kind == OwnerKind::user &&
                       (reason == Reason::different_user || reason == Reason::label_required);
    if (known || reason == Reason::outside || reason == Reason::unlisted)
        leases_.deny(item.flow(), source, ends_of(item));
}

void Worker::remember_listener(const Case& item) {
    const auto& owner = *item.facts.destination;
    const auto& socket = item.destination.socket;
    if (item.flow().protocol == Protocol::tcp && owner.kind == OwnerKind::user &&
        socket.state == TCP_LISTEN)
        shared_.exempt_listeners.add({item.interface, item.flow().destination}, socket.cookie,
                                     owner.uid);
}

void Worker::report(const Case& item, Reason reason) {
    const auto& listener = item.facts.listener();
    const auto& connector = item.facts.connector();
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    shared_.log.denial({item.facts.from_connector(), reason, connector, listener,
                        by_labels && rules_->labelled
                            ? compare_labels(listener, connector, finder_.policy(item))
                            : std::string(),
                        item.again});
}

void Worker::log_scan(const Case& item) {
    Denial scan{item.facts.from_connector(), Reason::no_listener, item.facts.connector(), Owner{}};
    scan.tries = item.tries;
    shared_.log.denial(std::move(scan));
}

} // namespace ubf
