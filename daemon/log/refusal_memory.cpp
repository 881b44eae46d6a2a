#include "daemon/log/refusal_memory.hpp"

#include <algorithm>
#include <utility>

namespace ubf {

RefusalMemory::Key RefusalMemory::key_of(const Refusal& refusal) {
    const auto& [protocol, from, to] = refusal.flow;
    return {protocol,
            from.address,
            to,
            refusal.connector.kind,
            refusal.connector.uid,
            refusal.listener.kind,
            refusal.listener.uid,
            refusal.reason,
            refusal.ended,
            refusal.observed,
            refusal.told_by};
}

bool RefusalMemory::has_room(const Account& account) const {
    return account.of == Account::Of::person ||
           known_[static_cast<std::size_t>(account.of)] < most_doubtful ||
           accounts_.contains(account);
}

RefusalMemory::Added RefusalMemory::add(Refusal refusal) {
    const auto found = by_key_.find(key_of(refusal));
    if (found == by_key_.end()) {
        const auto id = refusal.id = new_id();
        insert(std::move(refusal));
        return {id, true};
    }
    const auto& [account, place] = found->second;
    auto known = **place;
    known.count += refusal.count;
    known.last = refusal.last;
    known.flow = refusal.flow;
    if (refusal.connector.pid != Pid{})
        known.connector = std::move(refusal.connector);
    if (refusal.listener.pid != Pid{})
        known.listener = std::move(refusal.listener);
    if (!refusal.common.empty())
        known.common = std::move(refusal.common);
    auto& refusals = accounts_[account];
    refusals.splice(refusals.end(), refusals, place);
    const auto id = known.id;
    *place = std::make_shared<const Refusal>(std::move(known));
    return {id, false};
}

void RefusalMemory::restore(Refusal refusal) {
    if (refusal.id != 0 && !by_id_.contains(refusal.id) && !by_key_.contains(key_of(refusal)))
        insert(std::move(refusal));
}

void RefusalMemory::insert(Refusal refusal) {
    const auto account =
        charged_account(refusal, [this](const Account& each) { return has_room(each); });
    make_room(account);
    const auto key = key_of(refusal);
    const auto id = refusal.id;
    const auto [entry, fresh] = accounts_.try_emplace(account);
    auto& refusals = entry->second;
    if (fresh)
        ++known_[static_cast<std::size_t>(account.of)];
    refusals.push_back(std::make_shared<const Refusal>(std::move(refusal)));
    by_key_[key] = {account, std::prev(refusals.end())};
    by_id_[id] = key;
}

// The account with the most refusals gives way.
void RefusalMemory::make_room(const Account& newcomer) {
    const auto own = accounts_.find(newcomer);
    if (own != accounts_.end() && own->second.size() >= share)
        return forget_oldest(newcomer);
    if (size() < most)
        return;
    const auto largest = std::ranges::max_element(
        accounts_, {}, [](const auto& account) { return account.second.size(); });
    forget_oldest(Account(largest->first));
}

void RefusalMemory::forget_oldest(const Account& account) {
    const auto found = accounts_.find(account);
    const auto& oldest = *found->second.front();
    by_id_.erase(oldest.id);
    by_key_.erase(key_of(oldest));
    found->second.pop_front();
    if (!found->second.empty())
        return;
    --known_[static_cast<std::size_t>(found->first.of)];
    accounts_.erase(found);
}

std::uint32_t RefusalMemory::new_id() {
    while (next_id_ == 0 || by_id_.contains(next_id_))
        ++next_id_;
    return next_id_++;
}

std::vector<std::shared_ptr<const Refusal>> RefusalMemory::all() const {
    std::vector<std::shared_ptr<const Refusal>> result;
    result.reserve(size());
    for (const auto& [account, refusals] : accounts_)
        result.insert(result.end(), refusals.begin(), refusals.end());
    return result;
}

} // namespace ubf
