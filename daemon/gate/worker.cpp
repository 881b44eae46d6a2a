#include "daemon/gate/worker.hpp"

#include "daemon/core/thread.hpp"
#include "daemon/ident/silence.hpp"
#include "flow/own_address.hpp"
#include "flow/packet.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/tcp.h>

namespace ubf {
namespace {

constexpr std::size_t most_packets = 1024; // of one flow; what is beyond them is sent again
// A case that takes no longer than a round of packets is not looked at once more.
constexpr std::chrono::milliseconds brief{1};
// A case that waits for a search outlives the question before it by this much.
constexpr std::chrono::milliseconds grace{50};

std::optional<Reason> failure_of(LookupError error) {
    return error == LookupError::failed ? std::optional(Reason::internal_error) : std::nullopt;
}

ident::Role role_of_source(const Facts& facts) {
    return facts.reply ? ident::Role::listener : ident::Role::connector;
}

} // namespace

std::optional<Label> Rules::partition(const Link& link) const {
    if (!link.pkey)
        return std::nullopt;
    auto label = pkey_label(*link.pkey);
    const bool listed = std::ranges::find(pkeys, label) != pkeys.end();
    return listed ? std::optional(std::move(label)) : std::nullopt;
}

Worker::Worker(std::unique_ptr<Queue> queue, ident::Asker& asker,
               std::shared_ptr<const Rules> rules, Shared shared)
  : queue_(std::move(queue))
  , rules_(std::move(rules))
  , shared_(shared)
  , loopback_(::if_nametoindex("lo"))
  , asker_(asker)
  , sets_(shared.table)
  , kernel_(shared.udp_flows)
  , allowed_(shared.labelled_room)
  , walks_(allowed_, {[this](const AllowedFlow& allowed) {
                          return kernel_.state(allowed) == KernelFlows::State::over;
                      },
                      [this](const AllowedFlow& allowed) { return revoke(allowed); }})
  , heartbeat_(fmt::format("gate of queue {}", queue_->number())) {
    asker_.set_handler([this](const Flow& flow, ident::Asker::Heard heard, const Owner& owner) {
        answered(flow, heard, owner);
    });
    loop_.watch(queue_->fd(), [this] { receive(); });
    loop_.watch(asker_.fd(), [this] { asker_.receive(); });
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

void Worker::set_rules(std::shared_ptr<const Rules> rules, bool otherwise) {
    mailbox_.post([this, rules = std::move(rules), otherwise] {
        rules_ = rules;
        asker_.set_terms(rules_->terms, rules_->deadline);
        // Here, so that what the old ones brought is behind us.
        shared_.exempt_listeners.forget_all();
        shared_.udp_flows.forget_denied();
        if (!otherwise)
            return;
        settle(); // so that what was just allowed is among them
        walks_.look_at_all([this](AllowedFlows::Id id) { look_again(id); });
    });
}

void Worker::reconsider(Uid uid) {
    mailbox_.post(
        [this, uid] { hasten([&](const AllowedFlow& allowed) { return allowed.is_of(uid); }); });
}

void Worker::reconsider(const Flow& flow) {
    mailbox_.post([this, flow] {
        if (const auto found = cases_.find(flow); found != cases_.end())
            found->second.stale = true;
        if (!rules_->end_flows)
            return;
        settle();
        if (const auto id = allowed_.find(flow); id && allowed_[*id].by_label())
            allowed_.hasten(*id, Clock::now());
    });
}

void Worker::list(FlowFilter filter, std::size_t most, FlowWalks::Done done) {
    mailbox_.post([this, filter = std::move(filter), most, done = std::move(done)] {
        settle();
        walks_.list(filter, most, done);
    });
}

void Worker::revoke(FlowFilter filter, FlowWalks::Done done) {
    mailbox_.post([this, filter = std::move(filter), done = std::move(done)] {
        settle();
        walks_.end(filter, done);
    });
}

void Worker::take_known(std::vector<UndecidedFlow> flows,
                        std::function<void(std::vector<UndecidedFlow>)> done) {
    mailbox_.post([this, flows = std::move(flows), done = std::move(done)]() mutable {
        settle(); // so that what was just allowed is known
        const auto now = Clock::now();
        std::erase_if(flows, [&](const UndecidedFlow& undecided) {
            const auto id = allowed_.find(undecided.flow);
            if (id && !undecided.judged)
                allowed_.hasten(*id, now);
            return id || cases_.contains(undecided.flow);
        });
        done(std::move(flows));
    });
}

void Worker::judge(std::vector<UndecidedFlow> flows) {
    mailbox_.post([this, flows = std::move(flows)] {
        for (const auto& undecided : flows)
            add_undecided(undecided);
    });
}

void Worker::adopt(std::vector<UndecidedFlow> flows) {
    mailbox_.post([this, flows = std::move(flows)] {
        for (const auto& recognised : flows)
            add_recognised(recognised);
    });
}

void Worker::run() {
    enter_thread("gate", {CAP_NET_ADMIN}); // for verdicts, and to make the kernel forget a flow
    while (!stop_by_ || (!cases_.empty() && Clock::now() < *stop_by_)) {
        const auto latest = Clock::now() + Heartbeat::period;
        loop_.run_once(std::min(next().value_or(latest), latest));
        settle(); // before all that can wait
        const auto now = Clock::now();
        heartbeat_.beat(now);
        asker_.on_time(now);
        expire(now);
        decide_again(now);
        settle();
        hold_back();
    }
    // Dropped, not denied: whoever starts next is asked again.
    for (auto& [flow, item] : cases_) {
        item.packet.judge(Reason::overload);
        for (auto& packet : item.more)
            packet.judge(Reason::overload);
    }
    cases_.clear();
    queue_->flush();
}

// Sends what this round brought: questions first, since their answers take longest.
void Worker::settle() {
    asker_.flush();
    leave_verdicts();
    queue_->flush();
    for (const auto& allowed : unconfirmed_)
        if (shared_.udp_flows.confirm(allowed.flow, keeper(allowed.fabric), allowed.lease))
            remember(allowed);
    unconfirmed_.clear();
    for (const auto& renewed : renewed_)
        shared_.udp_flows.confirm(renewed.flow, keeper(renewed.fabric), renewed.lease);
    renewed_.clear();
    for (const auto& denied : denied_)
        shared_.udp_flows.confirm(denied.flow, Keeper::denied, denied.lease);
    denied_.clear();
}

// Those that the kernel keeps in sets, before the packets that they are about go on. Where there is
// no room, the next packet of the flow is asked about as this one was.
void Worker::leave_verdicts() {
    using nft::Network;
    for (const bool fabric : {false, true}) {
        const auto network = fabric ? Network::fabric : Network::ethernet;
        choose(unconfirmed_, fabric);
        if (!leaving_.empty() && sets_.allow(network, leaving_) != 0)
            shared_.counters.sets_full.add(leaving_.size());
        choose(renewed_, fabric);
        if (!leaving_.empty() && sets_.renew(network, leaving_) != 0)
            shared_.counters.sets_full.add(leaving_.size());
    }
    leaving_.clear();
    for (const auto& denied : denied_)
        leaving_.push_back(denied.flow);
    if (!leaving_.empty() && sets_.deny(leaving_, UdpFlows::denied_for) != 0)
        shared_.counters.sets_full.add(leaving_.size());
}

// Those of the fabric, or all others, into leaving_.
void Worker::choose(const std::vector<AllowedFlow>& flows, bool fabric) {
    leaving_.clear();
    for (const auto& allowed : flows)
        if (allowed.fabric == fabric)
            leaving_.push_back(allowed.flow);
}

std::optional<TimePoint> Worker::next() const {
    if (queue_->has_unsent())
        return Clock::now() + std::chrono::milliseconds(1);
    auto when = asker_.next();
    if (!expiries_.empty() && (!when || expiries_.front().when < *when))
        when = expiries_.front().when;
    if (const auto again = next_again(); again && (!when || *again < *when))
        when = again;
    return when;
}

void Worker::expire(TimePoint now) {
    while (!expiries_.empty() && expiries_.front().when <= now) {
        const auto expiry = expiries_.front();
        expiries_.pop_front();
        const auto found = cases_.find(expiry.flow);
        if (found == cases_.end() || found->second.number != expiry.number)
            continue;
        give_up(std::move(cases_.extract(found).mapped()));
    }
}

// Leaves packets that can't be asked about yet in the kernel, where they take no place and are not
// dropped.
void Worker::hold_back() {
    if (stop_by_ || held_back_ == asker_.is_pressed())
        return;
    held_back_ = !held_back_;
    if (held_back_)
        loop_.pause(queue_->fd());
    else
        loop_.resume(queue_->fd());
}

void Worker::receive() {
    queue_->receive([this](Arrival arrival) { arrive(std::move(arrival)); });
    begin_arrived();
}

// The sockets of all that is to be decided are looked up at once.
void Worker::begin_arrived() {
    wanted_.clear();
    for (const auto& item : arrived_)
        wanted_.push_back(ends_wanted(item));
    lookup_.find(wanted_, ends_);
    for (std::size_t i = 0; i < arrived_.size(); ++i) {
        auto& item = arrived_[i];
        // Another packet of a flow that is being decided waits with the first.
        if (const auto found = cases_.find(item.flow()); found != cases_.end())
            join(found->second, std::move(item.packet), item.sequence, item.facts.translated);
        else
            begin(std::move(item), ends_[i]);
    }
    arrived_.clear();
}

void Worker::arrive(Arrival arrival) {
    const auto packet = parse_packet(arrival.bytes);
    if (!packet) {
        arrival.packet.judge(Reason::malformed);
        return;
    }
    const auto tracked = parse_translated(arrival.tracked);
    if (const auto found = cases_.find(packet->flow); found != cases_.end())
        return join(found->second, std::move(arrival.packet), packet->sequence,
                    arrival.translated || tracked);
    auto stated = rules_->selinux ? stated_level(arrival.bytes) : std::nullopt;
    arrived_.push_back({++last_number_, arrival.interface, arrival.fabric,
                        std::move(arrival.packet), Clock::now(),
                        Facts{packet->flow, arrival.reply}});
    auto& item = arrived_.back();
    item.sequence = packet->sequence;
    item.begun = shared_.investigator.changes().now();
    item.facts.stated = std::move(stated);
    item.facts.translated = arrival.translated;
    note_translation(item,
                     tracked || !arrival.translated ? tracked : find_translated(packet->flow));
}

// Two sockets may have one flow, where it was translated: so its sender is sought by the flow that
// it was before.
void Worker::note_translation(Case& item, const std::optional<TrackedConnection>& tracked) {
    if (!tracked)
        return;
    item.facts.translated = true;
    if (tracked->behind() == item.flow())
        item.original = tracked->original;
}

// Of what began on this node, and of what was allowed, the kernel has the entry already.
std::optional<TrackedConnection> Worker::find_translated(const Flow& flow) {
    const auto tracked = conntrack_.get(flow.reversed());
    return tracked && tracked->translated ? std::optional(*tracked) : std::nullopt;
}

// Of what was translated: a TCP connection of which it is known what it was, and whose sender meant
// an address of this node's, at which its ubfd can be asked. (No notice would end what was allowed
// of UDP: it would be about the flow that it was.)
bool Worker::can_be_traced(const Case& item) const {
    return item.original && item.flow().protocol == Protocol::tcp &&
           (on_this_node(item) || interface_of(item.original->destination.address));
}

// A SYN that opens nothing: one of its flow was let in already, and the kernel has the request,
// which it answers again by itself. Of a connection that is there, only the very SYN that began it:
// another one may be of a node that has forgotten it.
bool Worker::is_repeated(const Case& item) const {
    const auto& [owner, socket, sharing, begun] = item.destination;
    if (item.flow().protocol != Protocol::tcp || item.facts.reply || item.again ||
        item.facts.translated)
        return false;
    if (begun == TCP_SYN_RECV)
        return true;
    if (begun != TCP_ESTABLISHED && socket.state != TCP_ESTABLISHED)
        return false;
    const auto id = allowed_.find(item.flow());
    return id && allowed_[*id].sequence == item.sequence;
}

// Of packets that were translated, two with one flow may be of two sockets: the later asks again.
void Worker::join(Case& item, QueuedPacket packet, std::uint32_t sequence, bool translated) {
    const bool same = !(item.facts.translated || translated) || item.sequence == sequence;
    if (same && item.more.size() < most_packets)
        item.more.push_back(std::move(packet));
    else
        packet.judge(Reason::overload);
}

OwnerLookup::Wanted Worker::ends_wanted(const Case& item) const {
    return {item.flow(), item.interface, true, on_this_node(item)};
}

void Worker::begin(Case item, const OwnerLookup::Ends& ends) {
    auto& facts = item.facts;
    const auto& destination = ends.receiver;
    if (!destination && destination.error() == LookupError::none)
        return close_port(std::move(item), ends.sender);
    if (destination)
        item.destination = *destination;
    else
        facts.failed = failure_of(destination.error());
    facts.destination = destination ? destination->owner : Owner::shared();
    facts.repeated = is_repeated(item);
    // Deciding again looks at the socket, and at changes, by itself (close_again).
    if (item.again || item.destination.is_virtual_service())
        facts.same_destination = facts.fresh_labels = true;
    const auto socket = item.destination.socket.state;
    facts.sharers_known = item.flow().protocol != Protocol::tcp || socket != TCP_LISTEN;
    if (destination && !facts.repeated)
        shared_.counters.methods.add(Method::socket);

    if (facts.translated && !can_be_traced(item)) {
        facts.place = Place::elsewhere;
        facts.source = Owner::translated();
    } else if (on_this_node(item)) {
        facts.place = Place::here;
        const auto source =
            item.original ? lookup_.sender(*item.original, item.interface) : ends.sender;
        if (source)
            item.source = *source;
        else if (const auto failure = failure_of(source.error()))
            facts.failed = failure;
        facts.source = source                                     ? source->owner
                       : source.error() == LookupError::ambiguous ? Owner::shared()
                                                                  : Owner{};
    } else if (auto nobody = unasked(item)) {
        facts.place = Place::elsewhere;
        facts.source = std::move(*nobody);
    }
    go_on(std::move(item));
}

void Worker::go_on(Case item) {
    for (;;) {
        const auto step = ubf::next(item.facts, policy(item));
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
    case Need::source: // begin() has looked both up
        facts.failed = Reason::internal_error;
        break;
    case Need::answer:
        return ask(item);
    case Need::group:
        return ask_for_group(item);
    case Need::credentials:
        return find_credentials(item);
    case Need::sharers:
        find_sharers(item);
        break;
    case Need::same_destination:
        facts.same_destination = Clock::now() - item.since <= brief || same_socket(item);
        break;
    case Need::fresh_labels:
        facts.fresh_labels = !is_stale(item);
        break;
    }
    return Fact::known;
}

Worker::Fact Worker::ask(Case& item) {
    auto& facts = item.facts;
    if (item.question)
        return Fact::comes_later;
    if (!item.again && is_silent(item)) {
        ask_in_passing(item);
        facts.unanswered = silence_of(item);
        return Fact::known;
    }
    std::optional<Uid> same_as;
    if (facts.destination->kind == OwnerKind::user && !policy(item).require_label)
        same_as = facts.destination->uid;
    if (send_question(item, same_as))
        return Fact::comes_later;
    facts.unanswered = Reason::overload;
    return Fact::known;
}

Worker::Fact Worker::ask_for_group(Case& item) {
    auto& facts = item.facts;
    facts.group_asked = true;
    facts.source.reset();
    if (send_question(item, std::nullopt, facts.destination->credentials->gid))
        return Fact::comes_later;
    facts.unanswered = Reason::overload;
    return Fact::known;
}

bool Worker::is_silent(const Case& item) const {
    return shared_.peers.standing(peer_of(item)) == PeerTable::Standing::silent;
}

Reason Worker::silence_of(const Case& item) const {
    return shared_.peers.other_version(peer_of(item)) ? Reason::other_version : Reason::no_answer;
}

// Whether the peer is there by now. The packet does not wait for it.
void Worker::ask_in_passing(const Case& item) {
    if (!shared_.peers.may_try(peer_of(item), Clock::now()))
        return;
    asker_.ask(item.flow(), item.sent(), role_of_source(item.facts), std::nullopt, item.interface);
}

// False where there is no room for it.
bool Worker::send_question(Case& item, std::optional<Uid> same_as, std::optional<Gid> group) {
    const auto peer = peer_of(item);
    const auto begun = asks_.begin(item.flow(), peer, shared_.peers.standing(peer),
                                   shared_.investigator.account_of(item.destination.owner.uid));
    if (begun.gave_way)
        give_way(*begun.gave_way);
    if (!begun.has_room)
        return false;
    item.question = asker_.ask(item.flow(), item.sent(), role_of_source(item.facts), same_as,
                               item.interface, group);
    return true;
}

// The packet is dropped: the next one asks again.
void Worker::give_way(const Flow& flow) {
    if (auto node = cases_.extract(flow))
        give_up(std::move(node.mapped()));
}

// The packet is judged already; nobody needs the answer.
void Worker::withdraw(Case& item) {
    if (!item.question)
        return;
    asker_.withdraw(*std::exchange(item.question, std::nullopt));
    asks_.end(item.flow());
}

void Worker::answered(const Flow& flow, ident::Asker::Heard heard, const Owner& owner) {
    using Heard = ident::Asker::Heard;
    if (heard == Heard::uid)
        return named(flow, owner);
    asks_.end(flow);
    auto node = cases_.extract(flow);
    if (!node)
        return;
    auto& item = node.mapped();
    auto& facts = item.facts;
    item.question.reset();
    facts.more_follows = false;
    switch (heard) {
    case Heard::uid:
        break;
    case Heard::busy:
    case Heard::late:
        (owner.credentials ? facts.out_of_time : facts.unanswered) = for_want_of_time(item);
        [[fallthrough]];
    case Heard::owner:
        learn(item, Need::source, owner);
        break;
    case Heard::nothing:
        report_silence_of(peer_of(item), item.since, shared_.peers, shared_.log);
        // Unless its node said that nobody is there, it may be slow, once: who sends the packet
        // again is refused if it is silent still.
        facts.unanswered = shared_.peers.refuses(peer_of(item), item.since) || is_silent(item)
                               ? silence_of(item)
                               : Reason::no_answer_yet;
        break;
    case Heard::unsent:
        facts.unanswered = Reason::overload;
        break;
    }
    go_on(std::move(item));
}

// The peer has said whose the flow is, and looks for the credentials. Where these don't matter, it
// is decided; otherwise the question counts for that user from now on.
void Worker::named(const Flow& flow, const Owner& owner) {
    const auto found = cases_.find(flow);
    if (found == cases_.end())
        return;
    auto& facts = found->second.facts;
    learn(found->second, Need::source, owner);
    facts.more_follows = true;
    if (const auto step = ubf::next(facts, policy(found->second));
        std::holds_alternative<Need>(step) && std::get<Need>(step) == Need::answer) {
        if (const auto over = asks_.name(flow, shared_.investigator.account_of(owner.uid)))
            give_way(*over);
        return;
    }
    auto node = cases_.extract(found);
    go_on(std::move(node.mapped()));
}

// end: destination or source.
void Worker::learn(Case& item, Need end, Owner owner) {
    auto& facts = item.facts;
    if (owner.credentials && item.fabric && !rules_->pkeys.empty())
        if (const auto link = links_.find(item.interface))
            facts.partition = rules_->partition(*link);
    if (end == Need::destination)
        return facts.learn_destination(std::move(owner));
    if (owner.credentials && owner.credentials->groups.size() >= ident::max_groups)
        facts.groups_cut = facts.place == Place::peer && !facts.reply;
    if (facts.learn_source(std::move(owner)) == Facts::Levels::contradict)
        shared_.counters.levels_contradicted.add();
}

// Of both ends at once.
Worker::Fact Worker::find_credentials(Case& item) {
    auto search_state = search(item, Need::destination);
    if (search_state != Search::refused && item.source)
        if (const auto source = search(item, Need::source); source != Search::needless)
            search_state = source;
    if (search_state != Search::refused)
        return item.searches == 0 ? Fact::known : Fact::comes_later;
    item.facts.failed = Reason::overload;
    return Fact::known;
}

Worker::Search Worker::search(Case& item, Need end) {
    auto& facts = item.facts;
    const bool is_destination = end == Need::destination;
    const auto& socket = is_destination ? item.destination : *item.source;
    if (!lacks_credentials(is_destination ? *facts.destination : *facts.source))
        return Search::needless;
    using ident::Role;
    const auto role = is_destination == facts.reply ? Role::connector : Role::listener;
    if (auto known = shared_.investigator.known(socket, role)) {
        learn(item, end, std::move(*known));
        return Search::needless;
    }
    const bool begun = shared_.investigator.find(
        socket, role, Clock::now() + rules_->deadline,
        [this, flow = item.flow(), number = item.number, end](Owner result, bool in_time) {
            mailbox_.post([this, flow, number, end, in_time, result = std::move(result)] {
                found(flow, number, end, result, in_time);
            });
        });
    if (!begun)
        return Search::refused;
    ++item.searches;
    return Search::under_way;
}

void Worker::found(const Flow& flow, std::uint64_t number, Need end, Owner owner, bool in_time) {
    const auto entry = cases_.find(flow);
    if (entry == cases_.end() || entry->second.number != number)
        return; // it took too long, and the packet is judged
    auto& item = entry->second;
    if (!in_time)
        item.facts.out_of_time = for_want_of_time(item);
    learn(item, end, std::move(owner));
    if (--item.searches > 0)
        return;
    auto node = cases_.extract(entry);
    go_on(std::move(node.mapped()));
}

// A TCP listener that shares its port is as good as the least of those that share it.
void Worker::find_sharers(Case& item) {
    auto& facts = item.facts;
    auto& destination = item.destination;
    facts.sharers_known = true;
    if (!shared_.investigator.may_share(item.flow().destination.port))
        return;
    if (const auto error = lookup_.add_sharing(destination, item.flow(), item.interface)) {
        facts.failed = failure_of(*error);
        facts.destination = Owner::shared();
    } else if (!destination.sharing.empty()) {
        facts.destination = Owner::user(destination.owner.uid);
    }
}

// Not found in time is not a no: the next packet asks again. A flow that was allowed goes on for
// now, but not for ever.
Reason Worker::for_want_of_time(const Case& item) {
    return item.again ? Reason::no_answer_yet : Reason::overload;
}

void Worker::wait(Case item) {
    expiries_.push_back({Clock::now() + rules_->deadline + grace, item.flow(), item.number});
    const Flow flow = item.flow();
    cases_.emplace(flow, std::move(item));
}

// The packet is dropped, and its retransmission begins anew; except where nobody listens.
void Worker::give_up(Case item) {
    const auto reason = item.tries > 0 ? Reason::no_listener : Reason::overload;
    close(std::move(item), reason);
}

void Worker::close(Case item, Reason reason) {
    withdraw(item);
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
    // IPVS sends it elsewhere: nothing here could be ended.
    if (action_of(reason) == Action::allow && !item.destination.is_virtual_service())
        reason = remember_allowed(item, reason);
    item.packet.judge(reason);
    for (auto& packet : item.more)
        packet.judge(reason);
    if (reason == Reason::exempt_listener)
        remember_listener(item);
    if (action_of(reason) != Action::deny)
        return;
    remember_denied(item, reason);
    report(item, reason);
}

// Nobody listens. The log names those who try many such ports. For that alone their node is asked,
// about one packet a second; all others are refused at once, as without a firewall.
void Worker::close_port(Case item, const OwnerLookup::Found& sender) {
    const auto& from = item.flow().source.address;
    if (!item.facts.reply && !item.again)
        item.tries =
            closed_ports_.add(from, sender ? std::optional(sender->owner.uid) : std::nullopt,
                              item.flow().destination.port, Clock::now());
    item.facts.destination = Owner{};
    if (item.tries > 0) {
        if (sender)
            item.facts.source =
                shared_.investigator.known(*sender, ident::Role::connector).value_or(sender->owner);
        else if (!on_this_node(item)) {
            item.facts.source = unasked(item);
            if (!item.facts.source && send_question(item, std::nullopt))
                return wait(std::move(item));
        }
    }
    go_on(std::move(item));
}

void Worker::log_scan(const Case& item) {
    Denial scan{item.facts.from_connector(), Reason::no_listener, item.facts.connector(), Owner{}};
    scan.tries = item.tries;
    shared_.log.denial(std::move(scan));
}

bool Worker::is_stale(const Case& item) const {
    const auto& changes = shared_.investigator.changes();
    return item.stale || changes.since(item.begun, item.facts.listener().uid) ||
           changes.since(item.begun, item.facts.connector().uid);
}

bool Worker::same_socket(const Case& item) {
    return lookup_.is_receiver(item.destination.socket.cookie, item.flow(), item.interface);
}

// Only what a socket stands behind of whose end we hear, or nobody of ours does: with the ports of
// sockets that are gone, one user could keep another out.
void Worker::remember_denied(const Case& item, Reason reason) {
    if (item.flow().protocol != Protocol::udp)
        return;
    const auto& source = item.facts.reply ? item.facts.listener() : item.facts.connector();
    const bool known = source.kind == OwnerKind::user &&
                       (reason == Reason::different_user || reason == Reason::label_required);
    if (!known && reason != Reason::outside && reason != Reason::unlisted)
        return;
    if (const auto lease =
            shared_.udp_flows.deny(item.flow(), source.kind, source.account(), ends_of(item)))
        denied_.push_back({item.flow(), *lease});
}

void Worker::remember_listener(const Case& item) {
    const auto& owner = *item.facts.destination;
    const auto& socket = item.destination.socket;
    if (item.flow().protocol == Protocol::tcp && owner.kind == OwnerKind::user &&
        socket.state == TCP_LISTEN)
        shared_.exempt_listeners.add({item.interface, item.flow().destination}, socket.cookie,
                                     owner.uid);
}

UdpFlows::Ends Worker::ends_of(const Case& item) {
    const auto& destination = item.destination.socket;
    return {destination.cookie, destination.uid,
            item.source ? std::optional(item.source->socket.cookie) : std::nullopt, item.since};
}

void Worker::report(const Case& item, Reason reason) {
    const auto& listener = item.facts.listener();
    const auto& connector = item.facts.connector();
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    shared_.log.denial({item.facts.from_connector(), reason, connector, listener,
                        by_labels && rules_->labelled
                            ? compare_labels(listener, connector, policy(item))
                            : std::string(),
                        item.again});
}

} // namespace ubf
