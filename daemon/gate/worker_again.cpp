// A worker remembers the flows that it has allowed, decides them again, and ends them.
#include "daemon/gate/worker.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>

namespace ubf {
namespace {

// A UDP flow is decided again whenever it comes up; a TCP flow that a label allowed more seldom,
// for that costs a search of its owner's processes, and what changes in the meantime is told.
constexpr std::chrono::minutes labelled_time{10};
// Of the peer of a flow, one after the other. (UDP ends with its lease before that.)
constexpr unsigned most_silences = 6;
// Packets keep room beside them: so many are begun at a time, and so many are under way; few enough
// that the last of them is searched for in time, be the processes as large as they may.
constexpr std::size_t most_at_a_time = 64;
constexpr std::size_t most_under_way = 32;

// Reasons that a UDP flow has when a socket is closed; no news.
bool is_gone(Reason reason) {
    return reason == Reason::connector_unknown || reason == Reason::listener_unknown;
}

// No process was found behind the socket: time ran out, or it is on its way from one to another.
bool was_not_found(const Owner& owner) {
    return owner.kind == OwnerKind::user && owner.credentials && !owner.credentials->gid &&
           owner.credentials->process.pid == Pid{};
}

} // namespace

// --- remembering ---

// What becomes of an allow: its flow is known from now on, or else it must not be allowed.
Reason Worker::remember_allowed(const Case& item, Reason reason) {
    if (item.flow().protocol == Protocol::udp)
        return remember_udp(item, reason) ? reason : Reason::gone;
    return remember_tcp(item, reason) ? reason : Reason::no_room;
}

bool Worker::remember_udp(const Case& item, Reason reason) {
    const auto lease = shared_.udp_flows.allow(item.flow(), keeper(item.fabric), ends_of(item));
    if (!lease)
        return false;
    auto allowed = allowed_flow(item, reason);
    allowed.lease = *lease;
    unconfirmed_.push_back(allowed);
    return true;
}

// False where it must not be allowed, since it could not be ended when its label is withdrawn.
bool Worker::remember_tcp(const Case& item, Reason reason) {
    return remember(allowed_flow(item, reason)) || !ends_by_label(reason);
}

bool Worker::remember(const AllowedFlow& allowed) {
    const auto now = Clock::now();
    const bool watched = allowed.is_udp() || ends_by_label(allowed.reason);
    const auto decide = allowed.is_udp() ? now : now + labelled_time;
    const auto is_over = [this](const AllowedFlow& old) {
        return kernel_.state(old) == KernelFlows::State::over;
    };
    const auto added = allowed_.add(allowed, watched, decide, now, is_over);
    if (added != AllowedFlows::Added::remembered && !watched)
        shared_.counters.flows_not_remembered.add();
    return added != AllowedFlows::Added::no_room;
}

AllowedFlow Worker::allowed_flow(const Case& item, Reason reason) const {
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

bool Worker::ends_by_label(Reason reason) const {
    return reason == Reason::same_label && rules_->end_flows;
}

// --- deciding again ---

void Worker::hasten(const std::function<bool(const AllowedFlow&)>& chosen) {
    if (!rules_->end_flows)
        return;
    settle(); // so that what was just allowed is among them
    allowed_.hasten_watched(
        [&](const AllowedFlow& allowed) { return allowed.by_label() && chosen(allowed); },
        Clock::now());
}

// The policy has changed. Most flows are still allowed by their uids, which costs next to nothing.
void Worker::look_again(AllowedFlows::Id id) {
    const auto& entry = allowed_[id];
    if (allowed_.is_in_hand(id) || entry.undecided || (entry.by_label() && !rules_->end_flows))
        return;
    const auto now = Clock::now();
    const auto& [policy, peers] = rules_->side(entry.fabric);
    const auto reason = allowed_by_uid(entry, entry.interface == loopback_, peers, policy);
    if (reason)
        allowed_.keep(id, *reason, entry.is_udp() || ends_by_label(*reason), now, now);
    else
        allowed_.hasten(id, now);
}

std::optional<TimePoint> Worker::next_again() const {
    if (walks_.any())
        return Clock::now();
    // If too many are under way, the end of one of them wakes us.
    return again_ < most_under_way ? allowed_.next() : std::nullopt;
}

// Those whose time has come, while they are still there: a notice that an owner is gone, or carries
// another label, may have been lost, and policies change.
void Worker::decide_again(TimePoint now) {
    using Again = AllowedFlows::Again;
    for (std::size_t i = 0; i < most_at_a_time && again_ < most_under_way; ++i) {
        const auto id = allowed_.take_due(now);
        if (!id)
            break;
        auto& entry = allowed_[*id];
        const bool there = kernel_.state(entry) != KernelFlows::State::over;
        // A TCP connection may not be there yet, for its handshake takes a while.
        if (!there && (entry.is_udp() || now - entry.since >= AllowedFlows::pause))
            allowed_.remove(*id);
        else if (!there || entry.decide > now)
            allowed_.put_back(*id, Again::later, now);
        else if (cases_.contains(entry.flow)) // a packet of it is being judged anyway
            allowed_.put_back(*id, Again::soon, now);
        else
            add_again(entry, now);
    }
    begin_arrived();
    walks_.go_on();
    flows_.store(allowed_.size(), std::memory_order_relaxed);
}

// In the place of one that was allowed, and to be decided again at once. Where there is no room it
// is found anew.
void Worker::add_undecided(const UndecidedFlow& undecided) {
    const auto now = Clock::now();
    if (allowed_.find(undecided.flow) || cases_.contains(undecided.flow))
        return;
    AllowedFlow allowed;
    allowed.flow = undecided.flow;
    allowed.interface = undecided.interface;
    allowed.fabric = undecided.fabric;
    allowed.undecided = true;
    allowed.since = now;
    if (allowed_.add(allowed, true, now, now, [](const AllowedFlow&) { return false; }) ==
        AllowedFlows::Added::no_room)
        return;
    allowed_.hasten(*allowed_.find(allowed.flow), now);
}

void Worker::add_recognised(const UndecidedFlow& recognised) {
    if (allowed_.find(recognised.flow) || cases_.contains(recognised.flow) || !recognised.uid)
        return;
    AllowedFlow allowed;
    allowed.flow = recognised.flow;
    allowed.interface = recognised.interface;
    allowed.fabric = recognised.fabric;
    allowed.listener = allowed.connector = {OwnerKind::user, *recognised.uid};
    allowed.since = Clock::now();
    remember(allowed);
}

void Worker::add_again(const AllowedFlow& allowed, TimePoint now) {
    arrived_.push_back({++last_number_,
                        allowed.interface,
                        allowed.fabric,
                        {},
                        now,
                        Facts{allowed.flow, allowed.reply}});
    auto& item = arrived_.back();
    item.begun = shared_.investigator.changes().now();
    item.again = true;
    if (!allowed.is_udp())
        note_translation(item, find_translated(allowed.flow));
    ++again_;
}

// What is still allowed goes on, and what isn't ends. Packets that came meanwhile, because somebody
// else made the kernel forget the flow, are judged as any others.
void Worker::close_again(const Case& item, Reason reason) {
    using Again = AllowedFlows::Again;
    --again_;
    const auto id = allowed_.find(item.flow());
    if (!id || !allowed_.is_in_hand(*id))
        return; // it was ended meanwhile, or allowed anew
    const auto now = Clock::now();
    auto& entry = allowed_[*id];
    const bool same = same_socket(item);
    if (reason == Reason::overload)
        return allowed_.put_back(*id, Again::soon, now);
    // A lack of knowledge is asked about again some times, before it counts as a no.
    const bool unknown =
        reason == Reason::no_answer || reason == Reason::no_answer_yet ||
        reason == Reason::other_version || reason == Reason::internal_error ||
        (action_of(reason) == Action::deny &&
         (was_not_found(item.facts.listener()) || was_not_found(item.facts.connector())));
    if (unknown) {
        if (++entry.silences < most_silences)
            return allowed_.put_back(*id, entry.undecided ? Again::soon : Again::later, now);
    } else {
        entry.silences = 0;
    }

    if (action_of(reason) == Action::allow) {
        // By what was true when it began; or a connection that was accepted meanwhile.
        if ((same && is_stale(item)) || (!same && !entry.is_udp()))
            return allowed_.put_back(*id, Again::at_once, now);
        if (same && entry.undecided) {
            allowed_.remove(*id);
            if (remember_tcp(item, reason))
                return;
            const auto allowed = allowed_flow(item, reason);
            end(allowed, Reason::overload); // it could not be ended later
            return;
        }
        if (same) {
            entry.listener = Party::of(item.facts.listener());
            entry.connector = Party::of(item.facts.connector());
            if (entry.is_udp())
                renewed_.push_back(entry);
            return allowed_.keep(*id, reason, entry.is_udp() || ends_by_label(reason),
                                 entry.is_udp() ? now : now + labelled_time, now);
        }
    } else if (entry.by_label() && !rules_->end_flows && same) {
        if (entry.is_udp())
            renewed_.push_back(entry);
        return allowed_.keep(*id, entry.reason, entry.is_udp(), now, now);
    }
    end(item, *id, reason);
}

// --- ending ---

void Worker::end(const Case& item, AllowedFlows::Id id, Reason reason) {
    const AllowedFlow allowed = allowed_[id];
    allowed_.remove(id);
    if (end(allowed, reason) != FlowWalks::Ended::yes || action_of(reason) == Action::allow)
        return;
    if (!allowed.is_udp() || allowed.by_label() || !is_gone(reason))
        report(item, reason);
}

FlowWalks::Ended Worker::end(const AllowedFlow& allowed, Reason reason) {
    const int error = kernel_.end(allowed);
    if (error == ENOENT)
        return FlowWalks::Ended::over_already;
    if (error == 0) {
        shared_.counters.flows_ended.add();
        return FlowWalks::Ended::yes;
    }
    shared_.counters.flows_not_ended.add();
    shared_.log.warning(fmt::format("{} could not be ended (reason={}): {}; it goes on until a "
                                    "program closes it",
                                    to_string(allowed.from_connector()), to_string(reason),
                                    std::strerror(error)));
    return FlowWalks::Ended::refused;
}

FlowWalks::Ended Worker::revoke(const AllowedFlow& allowed) {
    const auto ended = end(allowed, Reason::revoked);
    if (ended == FlowWalks::Ended::yes)
        shared_.log.denial({allowed.from_connector(), Reason::revoked, allowed.connector.owner(),
                            allowed.listener.owner(), std::string(), true});
    return ended;
}

} // namespace ubf
