#include "daemon/ident/pushed_owners.hpp"

namespace ubf::ident {

PushedOwners::Waiter PushedOwners::add_waiter(Tell tell) {
    const std::lock_guard lock(mutex_);
    waiters_.push_back(std::move(tell));
    return static_cast<Waiter>(waiters_.size() - 1);
}

PushedOwners::Found PushedOwners::find(const Flow& flow, std::uint32_t sequence, Waiter waiter,
                                       bool wish, TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (const auto told = owners_.find(flow); told != owners_.end()) {
        const auto owner = told->second;
        owners_.erase(told);
        if (owner.sequence == sequence && now - owner.when <= kept_for)
            return {owner.uid};
    }
    auto* entry = peers_.find(flow.source.address);
    if (!wish) {
        if (entry != nullptr)
            entry->state.tells = false;
        return {};
    }
    if (entry != nullptr && entry->state.tells && now - entry->state.wished < asked_after) {
        waiting_.insert_or_assign(flow, Waiting{sequence, waiter});
        return {std::nullopt, true};
    }
    if (entry == nullptr)
        entry = peers_.add(flow.source.address);
    if (entry != nullptr) {
        entry->state.wished = now;
        any_.store(true, std::memory_order_relaxed);
    }
    return {};
}

void PushedOwners::give_up(const Flow& flow) {
    const std::lock_guard lock(mutex_);
    if (waiting_.erase(flow) == 0)
        return;
    counters_.pushes_missed.add();
    if (auto* peer = peers_.find(flow.source.address)) {
        peer->state.tells = false;
        peers_.doubt(*peer);
    }
}

void PushedOwners::receive(Waiter waiter, Inbox& inbox, const Terms& terms, const Tell& tell) {
    std::vector<Told> told;
    // Nobody waited for those about exempt listeners; they lie before the rest.
    constexpr int most_rounds = 8;
    for (int round = 0; round < most_rounds; ++round)
        if (!socket_.receive(inbox,
                             [&](const Received& received) { handle(received, terms, told); }))
            break;
    for (const auto& each : told) {
        if (each.waiter == waiter)
            tell(each.flow, each.uid);
        else
            (*each.tell)(each.flow, each.uid);
    }
}

void PushedOwners::handle(const Received& received, const Terms& terms, std::vector<Told>& told) {
    const auto datagram = accept(received, terms, table_, counters_);
    if (!datagram)
        return;
    const auto* pushes = std::get_if<std::vector<Pushed>>(&datagram->entries);
    if (pushes == nullptr || datagram->to != Channel::pushes) {
        counters_.rejections.add(Rejection::unasked);
        return;
    }
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    if (!replay_.add(fingerprint(received.bytes))) {
        counters_.rejections.add(Rejection::repeated);
        return;
    }
    for (const auto& pushed : *pushes) {
        // A peer tells of its own sockets only.
        if (!terms.came_between(received.path, pushed.flow.source.address,
                                pushed.flow.destination.address))
            counters_.rejections.add(Rejection::not_theirs);
        else
            add(pushed, now, told);
    }
}

void PushedOwners::add(const Pushed& pushed, TimePoint now, std::vector<Told>& told) {
    const auto& peer = pushed.flow.source.address;
    if (peers_.find(peer) == nullptr) {
        counters_.rejections.add(Rejection::unasked);
        return;
    }
    peers_.prove(peer).state.tells = true;
    counters_.pushes_received.add();
    const auto waiting = waiting_.find(pushed.flow);
    if (waiting != waiting_.end() && waiting->second.sequence == pushed.sequence) {
        const auto waiter = waiting->second.waiter;
        told.push_back(
            {waiter, &waiters_[static_cast<std::size_t>(waiter)], pushed.flow, pushed.uid});
        waiting_.erase(waiting);
        return;
    }
    make_room(now);
    owners_.insert_or_assign(pushed.flow, Owner{pushed.sequence, pushed.uid, now});
    order_.emplace_back(now, pushed.flow);
}

void PushedOwners::make_room(TimePoint now) {
    while (!order_.empty() && (now - order_.front().first > kept_for || order_.size() >= most)) {
        const auto& [when, flow] = order_.front();
        if (const auto old = owners_.find(flow); old != owners_.end() && old->second.when == when)
            owners_.erase(old);
        order_.pop_front();
    }
}

} // namespace ubf::ident
