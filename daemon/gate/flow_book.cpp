#include "daemon/gate/flow_book.hpp"

#include "daemon/core/counters.hpp"
#include "daemon/log/reporter.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>

namespace ubf {
namespace {

// A UDP flow is decided again whenever it comes up. A TCP flow that a label allowed is decided more
// seldom: it costs a search of its owner's processes, and changes are told meanwhile.
constexpr std::chrono::minutes labelled_time{10};
// The peer of a flow may be silent this often in a row. (UDP ends with its lease before that.)
constexpr unsigned most_silences = 6;
// Packets keep room beside them: so many are begun at a time, and so many are under way. They are
// few enough that the last search ends in time, however large the processes are.
constexpr std::size_t most_at_a_time = 64;
constexpr std::size_t most_under_way = 32;

// Reasons that a UDP flow has when a socket is closed; no news.
bool is_gone(Reason reason) {
    return reason == Reason::connector_unknown || reason == Reason::listener_unknown;
}

// The verdict says only that something could not be found out.
bool is_for_lack_of_knowledge(const FlowBook::Decided& decided) {
    const auto reason = decided.flow.reason;
    return reason == Reason::no_answer || reason == Reason::no_answer_yet ||
           reason == Reason::other_version || reason == Reason::internal_error ||
           (action_of(reason) == Action::deny && decided.not_found);
}

} // namespace

FlowBook::FlowBook(std::shared_ptr<const Rules> rules, KeptVerdicts& verdicts, const Shared& shared,
                   std::uint32_t loopback)
  : rules_(std::move(rules))
  , shared_(shared)
  , loopback_(loopback)
  , kernel_(verdicts)
  , allowed_(shared.labelled_room)
  , walks_(allowed_, {[this](const AllowedFlow& allowed) {
                          return kernel_.state(allowed) == KeptVerdicts::State::over;
                      },
                      [this](const AllowedFlow& allowed) { return revoke(allowed); }}) {}

void FlowBook::set_rules(std::shared_ptr<const Rules> rules, bool review) {
    rules_ = std::move(rules);
    if (review)
        walks_.look_at_all([this](AllowedFlows::Id id, TimePoint now) { look_again(id, now); });
}

bool FlowBook::add(const AllowedFlow& allowed, TimePoint now) {
    const bool by_label = ends_by_label(allowed.reason);
    const bool watched = allowed.is_udp() || by_label;
    const auto decide = allowed.is_udp() ? now : now + labelled_time;
    const auto is_over = [this](const AllowedFlow& old) {
        return kernel_.state(old) == KeptVerdicts::State::over;
    };
    const auto added = allowed_.add(allowed, watched, decide, now, is_over);
    if (added != AllowedFlows::Added::remembered && !watched)
        shared_.counters.flows.not_remembered.add();
    return added != AllowedFlows::Added::no_room || !by_label;
}

bool FlowBook::began(const Flow& flow, std::uint32_t sequence) const {
    const auto id = allowed_.find(flow);
    return id && allowed_[*id].sequence == sequence;
}

bool FlowBook::ends_by_label(Reason reason) const {
    return reason == Reason::same_label && rules_->end_flows;
}

// --- decided again ---

void FlowBook::hasten(Uid uid, TimePoint now) {
    if (rules_->end_flows)
        allowed_.hasten_watched(
            [&](const AllowedFlow& allowed) { return allowed.by_label() && allowed.is_of(uid); },
            now);
}

void FlowBook::hasten(const Flow& flow, TimePoint now) {
    if (!rules_->end_flows)
        return;
    if (const auto id = allowed_.find(flow); id && allowed_[*id].by_label())
        allowed_.hasten(*id, now);
}

// Whether the peer's word about its end still counts: its certificate may be revoked by now.
bool FlowBook::is_vouched_for(const AllowedFlow& allowed) const {
    const auto& terms = *rules_->terms;
    if (!terms.identities || !terms.identities->own().required || allowed.interface == loopback_)
        return true;
    const auto address = terms.management(allowed.flow.source.address);
    auto owner = (allowed.reply ? allowed.listener : allowed.connector).owner();
    terms.identities->judge_again(address, owner);
    return owner.word == Word::counts && !terms.identities->is_barred(address);
}

// The policy has changed. Most flows are still allowed by their uids, which costs next to nothing.
void FlowBook::look_again(AllowedFlows::Id id, TimePoint now) {
    const auto& entry = allowed_[id];
    if (allowed_.is_in_hand(id) || entry.undecided || (entry.by_label() && !rules_->end_flows))
        return;
    const auto& [policy, peers] = rules_->side(entry.fabric);
    const auto reason = allowed_by_uid(entry, entry.interface == loopback_, peers, policy);
    if (reason && is_vouched_for(entry))
        allowed_.keep(id, *reason, entry.is_udp() || ends_by_label(*reason), now, now);
    else
        allowed_.hasten(id, now);
}

std::optional<TimePoint> FlowBook::next() const {
    if (walks_.any())
        return TimePoint{}; // at once
    // If too many are under way, the end of one of them wakes the worker.
    return under_way_ < most_under_way ? allowed_.next() : std::nullopt;
}

// A notice that an owner is gone, or carries another label, may have been lost; and policies
// change.
std::vector<AllowedFlow> FlowBook::take_due(TimePoint now,
                                            const std::function<bool(const Flow&)>& is_open) {
    using Again = AllowedFlows::Again;
    std::vector<AllowedFlow> due;
    for (std::size_t i = 0; i < most_at_a_time && under_way_ < most_under_way; ++i) {
        const auto id = allowed_.take_due(now);
        if (!id)
            break;
        auto& entry = allowed_[*id];
        const bool there = kernel_.state(entry) != KeptVerdicts::State::over;
        // A TCP connection may not be there yet, for its handshake takes a while.
        if (!there && (entry.is_udp() || now - entry.since >= AllowedFlows::pause)) {
            allowed_.remove(*id);
        } else if (!there || entry.decide > now) {
            allowed_.put_back(*id, Again::later, now);
        } else if (is_open(entry.flow)) {
            allowed_.put_back(*id, Again::soon, now);
        } else {
            due.push_back(entry);
            ++under_way_;
        }
    }
    return due;
}

FlowBook::Next FlowBook::conclude(const Decided& decided, TimePoint now) {
    using Again = AllowedFlows::Again;
    --under_way_;
    const auto id = allowed_.find(decided.flow.flow);
    if (!id || !allowed_.is_in_hand(*id))
        return {}; // it was ended meanwhile, or allowed anew
    const auto reason = decided.flow.reason;
    auto& entry = allowed_[*id];
    if (reason == Reason::overload) {
        allowed_.put_back(*id, Again::soon, now);
        return {};
    }
    // It is asked about again some times, before it counts as a no.
    if (!is_for_lack_of_knowledge(decided)) {
        entry.silences = 0;
    } else if (++entry.silences < most_silences) {
        allowed_.put_back(*id, entry.undecided ? Again::soon : Again::later, now);
        return {};
    }
    if (action_of(reason) == Action::allow)
        return conclude_allowed(*id, decided, now);
    if (entry.by_label() && !rules_->end_flows && decided.same_socket)
        return keep(*id, entry, now); // though its label was withdrawn
    return end(*id, reason, now);
}

FlowBook::Next FlowBook::conclude_allowed(AllowedFlows::Id id, const Decided& decided,
                                          TimePoint now) {
    const auto& [flow, same_socket, stale, not_found] = decided;
    auto& entry = allowed_[id];
    // By what was true when it began; or a connection that was accepted meanwhile.
    if ((same_socket && stale) || (!same_socket && !entry.is_udp())) {
        allowed_.put_back(id, AllowedFlows::Again::at_once, now);
        return {};
    }
    if (!same_socket)
        return end(id, flow.reason, now);
    if (entry.undecided) {
        allowed_.remove(id);
        if (!add(flow, now))
            end(flow, Reason::overload); // it could not be ended later
        return {};
    }
    const bool is_news = flow.reason == Reason::observed && entry.reason != Reason::observed;
    entry.listener = flow.listener;
    entry.connector = flow.connector;
    entry.reason = flow.reason;
    auto next = keep(id, entry, now);
    next.report = is_news;
    return next;
}

FlowBook::Next FlowBook::keep(AllowedFlows::Id id, const AllowedFlow& allowed, TimePoint now) {
    Next next;
    allowed_[id].end_refused = false;
    if (allowed.is_udp())
        next.renew = allowed;
    allowed_.keep(id, allowed.reason, allowed.is_udp() || ends_by_label(allowed.reason),
                  allowed.is_udp() ? now : now + labelled_time, now);
    return next;
}

// --- undecided, and recognised ---

void FlowBook::take_known(std::vector<UndecidedFlow>& flows,
                          const std::function<bool(const Flow&)>& is_open, TimePoint now) {
    std::erase_if(flows, [&](const UndecidedFlow& undecided) {
        const auto id = allowed_.find(undecided.flow);
        if (id && !undecided.judged)
            allowed_.hasten(*id, now);
        return id || is_open(undecided.flow);
    });
}

// It takes the place of an allowed flow, and is decided again at once. If there is no room, the
// next look finds it anew.
void FlowBook::add_undecided(const UndecidedFlow& undecided, TimePoint now) {
    if (contains(undecided.flow))
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

void FlowBook::add_recognised(const UndecidedFlow& recognised, TimePoint now) {
    if (contains(recognised.flow) || !recognised.uid)
        return;
    AllowedFlow allowed;
    allowed.flow = recognised.flow;
    allowed.interface = recognised.interface;
    allowed.fabric = recognised.fabric;
    allowed.listener = allowed.connector = {OwnerKind::user, *recognised.uid};
    allowed.since = now;
    add(allowed, now);
}

// --- all of them ---

void FlowBook::list(const FlowFilter& filter, std::size_t most, const FlowWalks::Done& done) {
    walks_.list(filter, most, done);
}

void FlowBook::revoke(const FlowFilter& filter, const FlowWalks::Done& done) {
    walks_.end(filter, done);
}

void FlowBook::go_on(TimePoint now) {
    walks_.go_on(now);
    size_.store(allowed_.size(), std::memory_order_relaxed);
}

// --- ended ---

// It leaves the book once the kernel has ended it. If the kernel refuses, it is decided again soon,
// and then now and then.
FlowBook::Next FlowBook::end(AllowedFlows::Id id, Reason reason, TimePoint now) {
    auto& entry = allowed_[id];
    const bool again = entry.end_refused;
    const auto result = end(entry, reason, again);
    if (result == FlowWalks::Ended::refused) {
        entry.end_refused = true;
        allowed_.put_back(id, again ? AllowedFlows::Again::later : AllowedFlows::Again::soon, now);
        return {};
    }
    const AllowedFlow allowed = static_cast<const AllowedFlow&>(entry);
    allowed_.remove(id);
    const bool ended = result == FlowWalks::Ended::yes;
    const bool no_news = allowed.is_udp() && !allowed.by_label() && is_gone(reason);
    return {std::nullopt, ended && action_of(reason) != Action::allow && !no_news};
}

// again: it was tried before, and the log has the refusal.
FlowWalks::Ended FlowBook::end(const AllowedFlow& allowed, Reason reason, bool again) {
    const int error = kernel_.end(allowed);
    if (error == ENOENT)
        return FlowWalks::Ended::over_already;
    if (error == 0) {
        shared_.counters.flows.ended.add();
        return FlowWalks::Ended::yes;
    }
    if (again)
        return FlowWalks::Ended::refused;
    shared_.counters.flows.not_ended.add();
    shared_.log.warning(fmt::format("{} could not be ended (reason={}): {}; ubfd tries again, and "
                                    "until then it goes on",
                                    to_string(allowed.from_connector()), to_string(reason),
                                    std::strerror(error)));
    return FlowWalks::Ended::refused;
}

FlowWalks::Ended FlowBook::revoke(const AllowedFlow& allowed) {
    const auto ended = end(allowed, Reason::revoked);
    if (ended == FlowWalks::Ended::yes)
        shared_.log.denial({allowed.from_connector(), Reason::revoked, allowed.connector.owner(),
                            allowed.listener.owner(), std::string(), true});
    return ended;
}

} // namespace ubf
