#include "daemon/gate/worker.hpp"

#include "daemon/core/thread.hpp"
#include "daemon/ident/silence.hpp"
#include "flow/packet.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/tcp.h>

namespace ubf {
namespace {

constexpr std::size_t most_cases = 2 * OpenQuestions::room; // half of them wait for searches
constexpr std::size_t most_packets = 1024; // of one flow; what is beyond them is sent again
// A case that waits for a search outlives the question before it by this much.
constexpr std::chrono::milliseconds grace{50};
// A UDP flow that was allowed is decided again whenever it is looked at; a TCP flow that a label
// allowed more seldom, for that costs a search of its owner's processes, and what changes in the
// meantime is told.
constexpr std::chrono::minutes labelled_time{10};
constexpr unsigned most_silences = 6;    // of the peer of a flow that is decided again
constexpr std::size_t most_renewed = 64; // at a time

} // namespace

Worker::Worker(std::unique_ptr<Queue> queue, ident::Asker& asker,
               std::shared_ptr<const Rules> rules, Shared shared)
  : queue_(std::move(queue))
  , rules_(std::move(rules))
  , shared_(shared)
  , loopback_(::if_nametoindex("lo"))
  , asker_(asker) {
    asker_.set_handler(
        [this](const Flow& flow, const std::optional<Owner>& owner) { answered(flow, owner); });
    loop_.watch(queue_->fd(), [this] {
        queue_->receive([this](Arrival arrival) { arrive(std::move(arrival)); });
    });
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

void Worker::set_rules(std::shared_ptr<const Rules> rules) {
    mailbox_.post([this, rules = std::move(rules)] {
        rules_ = rules;
        asker_.set_terms(rules_->terms, rules_->deadline);
        hasten([](const Renewal& renewal) { return renewal.by_label.has_value(); });
    });
}

void Worker::reconsider(Uid uid) {
    mailbox_.post(
        [this, uid] { hasten([&](const Renewal& renewal) { return renewal.is_of(uid); }); });
}

void Worker::reconsider(const Flow& flow) {
    mailbox_.post([this, flow] {
        if (const auto found = cases_.find(flow); found != cases_.end())
            found->second.stale = true;
        hasten([&](const Renewal& renewal) { return renewal.by_label && renewal.flow == flow; });
    });
}

void Worker::hasten(const std::function<bool(const Renewal&)>& chosen) {
    if (!rules_->end_flows)
        return;
    settle(); // so that what was just allowed is among them
    renewals_.hasten(chosen);
}

void Worker::run() {
    enter_thread("gate", {CAP_NET_ADMIN}); // for verdicts, and to make the kernel forget a flow
    while (!stop_by_ || (!cases_.empty() && Clock::now() < *stop_by_)) {
        const auto latest = Clock::now() + Heartbeat::period;
        loop_.run_once(std::min(next().value_or(latest), latest));
        const auto now = Clock::now();
        heartbeat_.beat(now);
        asker_.on_time(now);
        expire(now);
        renew(now);
        settle();
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
    queue_->flush();
    for (auto& renewal : unconfirmed_)
        if (shared_.udp_flows.confirm(renewal.flow, *renewal.lease))
            renewals_.add(std::move(renewal));
    unconfirmed_.clear();
}

std::optional<TimePoint> Worker::next() const {
    if (queue_->has_unsent())
        return Clock::now() + std::chrono::milliseconds(1);
    auto when = asker_.next();
    if (!expiries_.empty() && (!when || expiries_.front().when < *when))
        when = expiries_.front().when;
    if (const auto renewal = renewals_.next(); renewal && (!when || *renewal < *when))
        when = renewal;
    return when;
}

void Worker::expire(TimePoint now) {
    while (!expiries_.empty() && expiries_.front().when <= now) {
        const auto expiry = expiries_.front();
        expiries_.pop_front();
        const auto found = cases_.find(expiry.flow);
        if (found == cases_.end() || found->second.number != expiry.number)
            continue;
        auto node = cases_.extract(found);
        close(node.mapped(), Reason::overload);
    }
}

// Decides again what was allowed a while ago, while it is still there: a notice that an owner is
// gone, or carries another label, may have been lost, and policies change.
void Worker::renew(TimePoint now) {
    for (std::size_t i = 0; i < most_renewed; ++i) {
        auto renewal = renewals_.take_due(now);
        if (!renewal)
            return;
        const bool first_look = !std::exchange(renewal->looked_at, true);
        const bool there = is_there(*renewal);
        // A TCP connection may not be there yet, for its handshake takes a while.
        if (!there && (renewal->lease || !first_look)) {
            renewals_.over(*renewal);
            continue;
        }
        // A packet of it may be being judged anyway.
        if (!there || renewal->decide > now || cases_.contains(renewal->flow)) {
            renewals_.put_back(std::move(*renewal));
            continue;
        }
        if (!renewal->lease)
            renewal->decide = now + labelled_time;
        Case item{++last_number_, renewal->flow, renewal->interface, renewal->reply, {}, now};
        item.renewal = std::move(renewal);
        begin(std::move(item));
    }
}

// Whether the kernel still has it. Where a TCP connection is over, its listener is found.
bool Worker::is_there(const Renewal& renewal) {
    if (renewal.lease)
        return shared_.udp_flows.in_use(renewal.flow, *renewal.lease);
    const auto found = lookup_.receiver(renewal.flow, renewal.interface);
    return found && found->socket.state != TCP_LISTEN;
}

void Worker::arrive(Arrival arrival) {
    const auto flow = parse_packet(arrival.bytes);
    if (!flow) {
        arrival.packet.judge(Reason::malformed);
        return;
    }
    // Another packet of a flow that is being decided waits with the first.
    if (const auto found = cases_.find(*flow); found != cases_.end()) {
        auto& more = found->second.more;
        if (more.size() < most_packets)
            more.push_back(std::move(arrival.packet));
        else
            arrival.packet.judge(Reason::overload);
        return;
    }
    auto stated = rules_->selinux ? stated_level(arrival.bytes) : std::nullopt;
    begin({++last_number_, *flow, arrival.interface, arrival.reply, std::move(arrival.packet),
           Clock::now(), std::move(stated)});
}

void Worker::begin(Case item) {
    item.begun = shared_.investigator.changes().now();
    const auto local = lookup_.receiver(item.flow, item.interface);
    if (!local)
        return close(item, local.error() == LookupError::none ? Reason::no_listener
                                                              : Reason::internal_error);
    shared_.counters.methods.add(Method::socket);
    item.local = *local;

    if (on_this_node(item)) {
        const auto sender = lookup_.sender(item.flow, item.interface);
        if (sender) {
            item.sender = *sender;
            item.remote = sender->owner;
        } else if (sender.error() == LookupError::failed) {
            return close(item, Reason::internal_error);
        }
        return proceed(std::move(item));
    }
    if (!is_peer(item.flow.source.address)) {
        item.remote = Owner::outside();
        return proceed(std::move(item));
    }

    // An exempt listener needs no question.
    if (const auto verdict = decide_case(item); verdict.action() == Action::allow)
        return close(item, verdict.reason);
    const auto& peer = item.flow.source.address;
    if (!asks_.begin(peer, shared_.peers.standing(peer)))
        return close(item, Reason::overload);
    std::optional<Uid> same_as;
    if (item.local.owner.kind == OwnerKind::user && !rules_->policy.require_label)
        same_as = item.local.owner.uid;
    asker_.ask(item.flow, item.reply ? ident::Role::listener : ident::Role::connector, same_as,
               item.interface);
    wait(std::move(item));
}

// The peer's answer, or nothing by the deadline.
void Worker::answered(const Flow& flow, const std::optional<Owner>& owner) {
    asks_.end(flow.source.address);
    auto node = cases_.extract(flow);
    if (!node)
        return;
    auto& item = node.mapped();
    if (!owner) {
        report_silence_of(flow.source.address, shared_.peers, shared_.log);
        return close(item, Reason::no_answer);
    }
    item.remote = *owner;
    proceed(std::move(item));
}

// Both ends are known by uid; decides, or looks for what else it takes.
void Worker::proceed(Case item) {
    agree(item);
    if (settled(item))
        return close(item, decide_case(item).reason);
    const auto search_state = search(item);
    agree(item);
    switch (search_state) {
    case Search::needless:
        return close(item, decide_case(item).reason);
    case Search::refused:
        return close(item, Reason::overload);
    case Search::under_way:
        break;
    }
    if (cases_.size() >= most_cases)
        return close(item, Reason::overload);
    wait(std::move(item));
}

// Starts the searches that are needed.
Worker::Search Worker::search(Case& item) {
    using ident::Role;
    const auto local = search(item, item.local, item.local.owner,
                              item.reply ? Role::connector : Role::listener, true);
    if (local == Search::refused || !item.sender)
        return local;
    const auto sender = search(item, *item.sender, item.remote,
                               item.reply ? Role::listener : Role::connector, false);
    return sender == Search::needless ? local : sender;
}

Worker::Search Worker::search(Case& item, const SocketOwner& socket, Owner& owner, ident::Role role,
                              bool is_local) {
    if (owner.kind != OwnerKind::user || owner.credentials)
        return Search::needless;
    if (auto known = shared_.investigator.remembered(socket.socket.cookie, role)) {
        owner = std::move(*known);
        return Search::needless;
    }
    const bool begun = shared_.investigator.find(
        socket, role, Clock::now() + rules_->deadline,
        [this, flow = item.flow, number = item.number, is_local](Owner result) {
            mailbox_.post([this, flow, number, is_local, result = std::move(result)] {
                found(flow, number, is_local, result);
            });
        });
    if (!begun)
        return Search::refused;
    ++item.searches;
    return Search::under_way;
}

void Worker::found(const Flow& flow, std::uint64_t number, bool is_local, Owner owner) {
    const auto entry = cases_.find(flow);
    if (entry == cases_.end() || entry->second.number != number)
        return; // it took too long, and the packet is judged
    auto& item = entry->second;
    (is_local ? item.local.owner : item.remote) = std::move(owner);
    agree(item);
    if (--item.searches > 0)
        return;
    auto node = cases_.extract(entry);
    close(node.mapped(), decide_case(node.mapped()).reason);
}

void Worker::wait(Case item) {
    item.waited = true;
    expiries_.push_back({Clock::now() + rules_->deadline + grace, item.flow, item.number});
    const Flow flow = item.flow;
    cases_.emplace(flow, std::move(item));
}

// Where the packet itself states the level of its sender, what its node says must be the same;
// otherwise nobody knows which label it carries.
void Worker::agree(Case& item) {
    auto& sender = item.remote;
    if (!item.stated || !sender.credentials)
        return;
    const auto level = std::exchange(item.stated, std::nullopt)->level;
    const auto stated = level ? level->label() : std::nullopt;
    const bool is_plain = level && level->is_plain();
    auto& labels = sender.credentials->labels;
    const auto told = std::ranges::find(labels, LabelOrigin::selinux, &Label::origin);
    const bool same = told == labels.end() ? is_plain : stated == *told;
    if (same)
        return;
    shared_.counters.levels_contradicted.add();
    if (told != labels.end())
        labels.erase(told);
    sender.credentials->labels_known = false;
}

void Worker::close(Case& item, Reason reason) {
    if (item.renewal) {
        close_renewal(item, reason);
        if (item.more.empty())
            return;
    }
    if (action_of(reason) == Action::allow) {
        // While it waited, somebody else may have taken the port.
        const bool by_label = reason == Reason::same_label;
        if (item.waited && !same_socket(item))
            reason = Reason::gone;
        else if (by_label && is_stale(item))
            reason = Reason::overload;
        else if (item.flow.protocol == Protocol::udp && !remember_udp(item, by_label))
            reason = Reason::gone;
        else if (item.flow.protocol == Protocol::tcp && by_label && !remember_labelled(item))
            reason = Reason::overload;
    }
    item.packet.judge(reason);
    for (auto& packet : item.more)
        packet.judge(reason);
    if (action_of(reason) == Action::deny)
        report(item, reason);
}

// What is still allowed goes on, and what isn't ends. Packets that came meanwhile, because somebody
// else made the kernel forget the flow, are judged as any others.
void Worker::close_renewal(const Case& item, Reason reason) {
    auto renewal = *item.renewal;
    const bool allowed = action_of(reason) == Action::allow && same_socket(item);
    const bool silent = reason == Reason::no_answer;
    renewal.silences = silent ? renewal.silences + 1 : 0;
    if (allowed && is_stale(item)) { // by what was true when it began
        renewals_.put_back_first(std::move(renewal));
        return;
    }
    const bool undecided =
        reason == Reason::overload || (silent && renewal.silences < most_silences);
    if (undecided)
        renewal.decide = Clock::now();
    if (renewal.lease && reason == Reason::same_label)
        renewal.by_label = users(item);
    const bool kept = renewal.by_label && !rules_->end_flows && same_socket(item);
    if (undecided || allowed || kept)
        return renewals_.put_back(std::move(renewal));
    end(item, reason);
}

// What was allowed is not any more.
void Worker::end(const Case& item, Reason reason) {
    const auto& renewal = *item.renewal;
    shared_.counters.flows_ended.add();
    renewals_.over(renewal);
    if (renewal.lease) {
        shared_.udp_flows.end(renewal.flow, *renewal.lease);
    } else {
        const auto& flow = renewal.flow;
        const int error = sockets_.destroy(flow.protocol, flow.destination, flow.source,
                                           renewal.interface, item.local.socket.cookie);
        if (error != 0 && error != ENOENT)
            shared_.counters.flows_not_ended.add();
    }
    if (renewal.by_label && action_of(reason) == Action::deny)
        report(item, reason);
}

bool Worker::is_stale(const Case& item) const {
    const auto& changes = shared_.investigator.changes();
    return item.stale || changes.since(item.begun, item.local.owner.uid) ||
           changes.since(item.begun, item.remote.uid);
}

bool Worker::remember_labelled(const Case& item) {
    if (!rules_->end_flows)
        return true;
    if (!renewals_.has_room(connector(item).uid))
        return false;
    renewals_.add(renewal_of(item, std::nullopt, Clock::now() + labelled_time, users(item)));
    return true;
}

std::pair<Uid, Uid> Worker::users(const Case& item) const {
    return {listener(item).uid, connector(item).uid};
}

Renewal Worker::renewal_of(const Case& item, std::optional<UdpFlows::Lease> lease, TimePoint decide,
                           std::optional<std::pair<Uid, Uid>> by_label) {
    Renewal renewal;
    renewal.decide = decide;
    renewal.flow = item.flow;
    renewal.lease = lease;
    renewal.interface = item.interface;
    renewal.reply = item.reply;
    renewal.by_label = by_label;
    return renewal;
}

bool Worker::same_socket(const Case& item) {
    const auto now = lookup_.receiver(item.flow, item.interface);
    return now && now->socket.cookie == item.local.socket.cookie;
}

bool Worker::remember_udp(const Case& item, bool by_label) {
    std::optional<Cookie> other;
    if (item.sender)
        other = item.sender->socket.cookie;
    const auto lease =
        shared_.udp_flows.remember(item.flow, item.local.socket.cookie, other, item.since);
    if (!lease)
        return false;
    unconfirmed_.push_back(
        renewal_of(item, *lease, {}, by_label ? std::optional(users(item)) : std::nullopt));
    return true;
}

void Worker::report(const Case& item, Reason reason) {
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    shared_.log.denial({item.reply ? item.flow.reversed() : item.flow, reason, connector(item),
                        listener(item),
                        by_labels && rules_->labelled
                            ? compare_labels(listener(item), connector(item), rules_->policy)
                            : std::string(),
                        item.renewal.has_value()});
}

Verdict Worker::decide_case(const Case& item) const {
    return decide(listener(item), connector(item), rules_->policy);
}

bool Worker::settled(const Case& item) const {
    return settled_by_uid(listener(item), connector(item), rules_->policy);
}

const Owner& Worker::listener(const Case& item) const {
    return item.reply ? item.remote : item.local.owner;
}

const Owner& Worker::connector(const Case& item) const {
    return item.reply ? item.local.owner : item.remote;
}

bool Worker::is_peer(const Address& address) const {
    return std::ranges::any_of(rules_->terms->peers,
                               [&](const Prefix& range) { return range.contains(address); });
}

} // namespace ubf
