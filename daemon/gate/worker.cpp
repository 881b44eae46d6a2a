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
        auto node = cases_.extract(found);
        if (node.mapped().tries > 0)
            close_scan(node.mapped());
        else
            close(node.mapped(), Reason::overload);
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
        if (const auto found = cases_.find(item.flow); found != cases_.end())
            join(found->second, std::move(item.packet), item.sequence, item.translated);
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
    arrived_.push_back({++last_number_, packet->flow, arrival.interface, arrival.reply,
                        arrival.fabric, std::move(arrival.packet), Clock::now(), std::move(stated),
                        packet->sequence});
    auto& item = arrived_.back();
    item.begun = shared_.investigator.changes().now();
    item.translated = arrival.translated;
    note_translation(item, tracked || !item.translated ? tracked : find_translated(item.flow));
}

// Two sockets may have one flow, where it was translated: so its sender is sought by the flow that
// it was before.
void Worker::note_translation(Case& item, const std::optional<TrackedConnection>& tracked) {
    if (!tracked)
        return;
    item.translated = true;
    if (tracked->behind() == item.flow)
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
    return item.original && item.flow.protocol == Protocol::tcp &&
           (on_this_node(item) || interface_of(item.original->destination.address));
}

// A SYN that opens nothing: one of its flow was let in already, and the kernel has the request,
// which it answers again by itself. Of a connection that is there, only the very SYN that began it:
// another one may be of a node that has forgotten it.
bool Worker::is_repeated(const Case& item) const {
    if (item.flow.protocol != Protocol::tcp || item.reply || item.again || item.translated)
        return false;
    if (item.local.begun == TCP_SYN_RECV)
        return true;
    if (item.local.begun != TCP_ESTABLISHED && item.local.socket.state != TCP_ESTABLISHED)
        return false;
    const auto id = allowed_.find(item.flow);
    return id && allowed_[*id].sequence == item.sequence;
}

// Of packets that were translated, two with one flow may be of two sockets: the later asks again.
void Worker::join(Case& item, QueuedPacket packet, std::uint32_t sequence, bool translated) {
    const bool same = !(item.translated || translated) || item.sequence == sequence;
    if (same && item.more.size() < most_packets)
        item.more.push_back(std::move(packet));
    else
        packet.judge(Reason::overload);
}

OwnerLookup::Wanted Worker::ends_wanted(const Case& item) const {
    return {item.flow, item.interface, true, on_this_node(item)};
}

void Worker::begin(Case item, const OwnerLookup::Ends& ends) {
    const auto& local = ends.receiver;
    if (!local && local.error() == LookupError::ambiguous) {
        item.local.owner = Owner::shared();
        return close(item, Reason::shared_port);
    }
    if (!local)
        return local.error() == LookupError::none ? close_port(std::move(item), ends.sender)
                                                  : close(item, Reason::internal_error);
    item.local = *local;
    if (is_repeated(item))
        return close(item, Reason::repeated);
    shared_.counters.methods.add(Method::socket);

    if (item.translated && !can_be_traced(item)) {
        item.remote = Owner::translated();
        return proceed(std::move(item));
    }
    if (on_this_node(item)) {
        const auto sender =
            item.original ? lookup_.sender(*item.original, item.interface) : ends.sender;
        if (sender) {
            item.sender = *sender;
            item.remote = sender->owner;
        } else if (sender.error() == LookupError::ambiguous) {
            item.remote = Owner::shared();
        } else if (sender.error() == LookupError::failed) {
            return close(item, Reason::internal_error);
        }
        return proceed(std::move(item));
    }
    if (const auto nobody = unasked(item)) {
        item.remote = *nobody;
        return proceed(std::move(item));
    }

    // An exempt listener needs no question.
    if (const auto verdict = decide_case(item); verdict.action() == Action::allow)
        return close(item, verdict.reason);
    ask(std::move(item));
}

void Worker::ask(Case item) {
    if (!item.again && is_silent(item)) {
        ask_in_passing(item);
        return close(item, silence_of(item));
    }
    std::optional<Uid> same_as;
    if (item.local.owner.kind == OwnerKind::user && !policy(item).require_label)
        same_as = item.local.owner.uid;
    if (!send_question(item, same_as, item.local.owner.uid))
        return close(item, Reason::overload);
    wait(std::move(item));
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
    const auto role = item.reply ? ident::Role::listener : ident::Role::connector;
    asker_.ask(item.flow, sent(item), role, std::nullopt, item.interface);
}

// local: to whom the flow goes, as far as we know. False where there is no room for it.
bool Worker::send_question(Case& item, std::optional<Uid> same_as, Uid local,
                           std::optional<Gid> group) {
    const auto peer = peer_of(item);
    const auto begun = asks_.begin(item.flow, peer, shared_.peers.standing(peer),
                                   shared_.investigator.account_of(local));
    if (begun.gave_way)
        give_way(*begun.gave_way);
    if (!begun.has_room)
        return false;
    const auto role = item.reply ? ident::Role::listener : ident::Role::connector;
    item.question = asker_.ask(item.flow, sent(item), role, same_as, item.interface, group);
    return true;
}

// The packet is dropped: the next one asks again.
void Worker::give_way(const Flow& flow) {
    if (auto node = cases_.extract(flow))
        node.mapped().tries > 0 ? close_scan(node.mapped())
                                : close(node.mapped(), Reason::overload);
}

// The packet is judged already; nobody needs the answer.
void Worker::withdraw(Case& item) {
    if (!item.question)
        return;
    asker_.withdraw(*std::exchange(item.question, std::nullopt));
    asks_.end(item.flow);
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
    item.question.reset();
    item.remote = owner;
    if (item.tries > 0) {
        if (heard == Heard::nothing)
            report_silence_of(peer_of(item), item.since, shared_.peers, shared_.log);
        return close_scan(item);
    }
    switch (heard) {
    case Heard::owner:
        return proceed(std::move(item));
    case Heard::uid:
        break;
    case Heard::busy:
    case Heard::late:
        item.in_time = false;
        if (settled(item) || owner.credentials)
            return proceed(std::move(item));
        return close(item, for_want_of_time(item));
    case Heard::nothing:
        report_silence_of(peer_of(item), item.since, shared_.peers, shared_.log);
        // Unless its node said that nobody is there, it may be slow, once: who sends the packet
        // again is refused if it is silent still.
        return close(item, shared_.peers.refuses(peer_of(item), item.since) || is_silent(item)
                               ? silence_of(item)
                               : Reason::no_answer_yet);
    case Heard::unsent:
        return close(item, Reason::overload);
    }
}

// The peer has said whose the flow is, and looks for the credentials. Where these don't matter, it
// is decided; otherwise the question counts for that user from now on.
void Worker::named(const Flow& flow, const Owner& owner) {
    const auto found = cases_.find(flow);
    if (found == cases_.end())
        return;
    found->second.remote = owner;
    if (found->second.tries > 0) {
        auto node = cases_.extract(found);
        return close_scan(node.mapped());
    }
    if (settled(found->second)) {
        auto node = cases_.extract(found);
        return close(node.mapped(), decide_case(node.mapped()).reason);
    }
    if (const auto over = asks_.name(flow, shared_.investigator.account_of(owner.uid)))
        give_way(*over);
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
        return conclude(std::move(item));
    case Search::refused:
        return close(item, Reason::overload);
    case Search::under_way:
        break;
    }
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
    if (auto known = shared_.investigator.known(socket, role)) {
        owner = std::move(*known);
        return Search::needless;
    }
    const bool begun = shared_.investigator.find(
        socket, role, Clock::now() + rules_->deadline,
        [this, flow = item.flow, number = item.number, is_local](Owner result, bool in_time) {
            mailbox_.post([this, flow, number, is_local, in_time, result = std::move(result)] {
                found(flow, number, is_local, result, in_time);
            });
        });
    if (!begun)
        return Search::refused;
    ++item.searches;
    return Search::under_way;
}

void Worker::found(const Flow& flow, std::uint64_t number, bool is_local, Owner owner,
                   bool in_time) {
    const auto entry = cases_.find(flow);
    if (entry == cases_.end() || entry->second.number != number)
        return; // it took too long, and the packet is judged
    auto& item = entry->second;
    item.in_time &= in_time;
    (is_local ? item.local.owner : item.remote) = std::move(owner);
    agree(item);
    if (--item.searches > 0)
        return;
    auto node = cases_.extract(entry);
    conclude(std::move(node.mapped()));
}

// All is known of both ends. A TCP listener that shares its port is as good as the least of those
// that share it, so before a group or a label of it allows, it is looked at who they are: anew each
// time, for one may have come a moment ago.
void Worker::conclude(Case item) {
    const auto reason = decide_case(item).reason;
    if (action_of(reason) != Action::allow)
        if (const auto group = group_to_ask_for(item))
            return ask_for_group(std::move(item), *group);
    if (!item.in_time && action_of(reason) != Action::allow)
        return close(item, for_want_of_time(item));
    auto& local = item.local;
    const bool may_be_shared = item.flow.protocol == Protocol::tcp &&
                               local.socket.state == TCP_LISTEN && local.owner.credentials &&
                               local.owner.kind == OwnerKind::user &&
                               shared_.investigator.may_share(item.flow.destination.port);
    if (item.shared_known || !may_be_shared || action_of(reason) != Action::allow)
        return close(item, reason);
    item.shared_known = true;
    if (const auto error = lookup_.add_sharing(local, item.flow, item.interface)) {
        local.owner = Owner::shared();
        return close(item, *error == LookupError::ambiguous ? Reason::shared_port
                                                            : Reason::internal_error);
    }
    if (local.sharing.empty())
        return close(item, reason);
    local.owner = Owner::user(local.owner.uid);
    proceed(std::move(item));
}

// Of more groups than an answer has room for, the peer is asked for the one that counts.
std::optional<Gid> Worker::group_to_ask_for(const Case& item) const {
    const auto& theirs = item.remote.credentials;
    const auto& ours = item.local.owner.credentials;
    const bool may_be_cut = theirs && theirs->groups.size() >= ident::max_groups;
    if (item.reply || item.group_known || on_this_node(item) || !may_be_cut || !ours)
        return std::nullopt;
    return ours->gid;
}

void Worker::ask_for_group(Case item, Gid group) {
    item.group_known = true;
    item.remote = Owner{};
    if (!send_question(item, std::nullopt, item.local.owner.uid, group))
        return close(item, Reason::overload);
    wait(std::move(item));
}

// Not found in time is not a no: the next packet asks again. A flow that was allowed goes on for
// now, but not for ever.
Reason Worker::for_want_of_time(const Case& item) {
    return item.again ? Reason::no_answer_yet : Reason::overload;
}

void Worker::wait(Case item) {
    expiries_.push_back({Clock::now() + rules_->deadline + grace, item.flow, item.number});
    const Flow flow = item.flow;
    cases_.emplace(flow, std::move(item));
}

// Where the packet itself states the level of its sender, what its node says must be the same;
// otherwise nobody knows which label it carries.
void Worker::agree(Case& item) {
    add_partition(item);
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

// Both ends of a packet are part of the partition over whose interface it came in.
void Worker::add_partition(Case& item) {
    if (!item.fabric || rules_->pkeys.empty())
        return;
    Owner* const owners[] = {&item.local.owner, &item.remote};
    if (std::ranges::none_of(owners,
                             [](const Owner* owner) { return owner->credentials.has_value(); }))
        return;
    const auto link = links_.find(item.interface);
    const auto label = link ? rules_->partition(*link) : std::nullopt;
    if (label)
        for (auto* owner : owners)
            carry(*owner, *label);
}

void Worker::close(Case& item, Reason reason) {
    withdraw(item);
    if (item.again) {
        close_again(item, reason);
        if (item.more.empty())
            return;
    }
    // IPVS sends it elsewhere: nothing here could be ended.
    if (action_of(reason) == Action::allow && !item.local.is_virtual_service()) {
        // While it waited, somebody else may have taken the port.
        if (Clock::now() - item.since > brief && !same_socket(item))
            reason = Reason::gone;
        else if (reason == Reason::same_label && is_stale(item))
            reason = Reason::overload;
        else if (reason == Reason::same_label && item.translated)
            reason = Reason::translated; // no notice would end it when the label is withdrawn
        else if (item.flow.protocol == Protocol::udp && !remember_udp(item, reason))
            reason = Reason::gone;
        else if (item.flow.protocol == Protocol::tcp && !remember_tcp(item, reason))
            reason = Reason::no_room;
    }
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
    const auto& from = item.flow.source.address;
    if (!item.reply && !item.again)
        item.tries =
            closed_ports_.add(from, sender ? std::optional(sender->owner.uid) : std::nullopt,
                              item.flow.destination.port, Clock::now());
    if (item.tries == 0)
        return close(item, Reason::no_listener);
    if (sender)
        item.remote =
            shared_.investigator.known(*sender, ident::Role::connector).value_or(sender->owner);
    else if (const auto nobody = on_this_node(item) ? std::nullopt : unasked(item))
        item.remote = *nobody;
    else if (!on_this_node(item) && send_question(item, std::nullopt, item.local.owner.uid))
        return wait(std::move(item));
    close_scan(item);
}

void Worker::close_scan(Case& item) {
    Denial scan{from_connector(item), Reason::no_listener, item.remote, Owner{}};
    scan.tries = item.tries;
    shared_.log.denial(std::move(scan));
    close(item, Reason::no_listener);
}

bool Worker::is_stale(const Case& item) const {
    const auto& changes = shared_.investigator.changes();
    return item.stale || changes.since(item.begun, item.local.owner.uid) ||
           changes.since(item.begun, item.remote.uid);
}

bool Worker::same_socket(const Case& item) {
    return lookup_.is_receiver(item.local.socket.cookie, item.flow, item.interface);
}

// Only what a socket stands behind of whose end we hear, or nobody of ours does: with the ports of
// sockets that are gone, one user could keep another out.
void Worker::remember_denied(const Case& item, Reason reason) {
    if (item.flow.protocol != Protocol::udp)
        return;
    const bool known = item.remote.kind == OwnerKind::user &&
                       (reason == Reason::different_user || reason == Reason::label_required);
    if (!known && reason != Reason::outside && reason != Reason::unlisted)
        return;
    if (const auto lease = shared_.udp_flows.deny(item.flow, item.remote.kind,
                                                  item.remote.account(), ends_of(item)))
        denied_.push_back({item.flow, *lease});
}

void Worker::remember_listener(const Case& item) {
    const auto& owner = item.local.owner;
    const auto& socket = item.local.socket;
    if (item.flow.protocol == Protocol::tcp && owner.kind == OwnerKind::user &&
        socket.state == TCP_LISTEN)
        shared_.exempt_listeners.add({item.interface, item.flow.destination}, socket.cookie,
                                     owner.uid);
}

UdpFlows::Ends Worker::ends_of(const Case& item) {
    return {item.local.socket.cookie, item.local.socket.uid,
            item.sender ? std::optional(item.sender->socket.cookie) : std::nullopt, item.since};
}

void Worker::report(const Case& item, Reason reason) {
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    shared_.log.denial({from_connector(item), reason, connector(item), listener(item),
                        by_labels && rules_->labelled
                            ? compare_labels(listener(item), connector(item), policy(item))
                            : std::string(),
                        item.again});
}

Verdict Worker::decide_case(const Case& item) const {
    return decide(from_connector(item), listener(item), connector(item), policy(item));
}

bool Worker::settled(const Case& item) const {
    return settled_by_uid(from_connector(item), listener(item), connector(item), policy(item));
}

const Owner& Worker::listener(const Case& item) const {
    return item.reply ? item.remote : item.local.owner;
}

const Owner& Worker::connector(const Case& item) const {
    return item.reply ? item.local.owner : item.remote;
}

} // namespace ubf
