#include "daemon/udp/udp_book.hpp"

#include <algorithm>

namespace ubf {

bool UdpBook::Entry::can_become(const Entry& next) const {
    return !ending && keeper == next.keeper && local == next.local && other == next.other &&
           sender == next.sender;
}

UdpBook::Entry* UdpBook::find(const Flow& flow) {
    const auto found = flows_.find(flow);
    return found == flows_.end() ? nullptr : &found->second;
}

UdpBook::Entry* UdpBook::find(const Flow& flow, Lease lease) {
    auto* entry = find(flow);
    return entry != nullptr && entry->lease == lease ? entry : nullptr;
}

const std::unordered_set<Flow>& UdpBook::flows_of(Cookie socket) const {
    static const std::unordered_set<Flow> none;
    const auto found = by_socket_.find(socket);
    return found == by_socket_.end() ? none : found->second;
}

bool UdpBook::may_deny(const Sender& sender) const {
    const auto of_sender = denied_of_.find(sender);
    return size(Keeper::denied) < most_denied &&
           (of_sender == denied_of_.end() || of_sender->second < most_denied_of_one);
}

std::optional<Flow> UdpBook::in_the_way(Uid newcomer) {
    constexpr unsigned most_looks = 64;
    if (flows_.size() - size(Keeper::denied) < most)
        return std::nullopt;
    const auto own = allowed_of_.find(newcomer);
    const std::size_t own_count = own == allowed_of_.end() ? 0 : own->second;
    std::optional<Flow> any;
    for (unsigned looks = 0; looks < most_looks || !any; ++hand_)
        for (auto each = flows_.begin(bucket()); each != flows_.end(bucket()); ++each) {
            const auto& [flow, entry] = *each;
            if (!entry.is_allowed())
                continue;
            if (allowed_of_[entry.user] > own_count + 1)
                return flow;
            ++looks;
            any = flow;
        }
    return any;
}

void UdpBook::add(const Flow& flow, const Entry& entry) {
    flows_.emplace(flow, entry);
    ++count_of(entry.keeper);
    if (!entry.is_allowed())
        ++denied_of_[entry.sender];
    else
        ++allowed_of_[entry.user];
    by_socket_[entry.local].insert(flow);
    if (entry.other)
        by_socket_[*entry.other].insert(flow);
}

UdpBook::Entry UdpBook::erase(const Flow& flow) {
    const auto node = flows_.extract(flow); // the caller's `flow` may be ours
    const auto& entry = node.mapped();
    --count_of(entry.keeper);
    if (!entry.is_allowed() && --denied_of_[entry.sender] == 0)
        denied_of_.erase(entry.sender);
    if (entry.is_allowed() && --allowed_of_[entry.user] == 0)
        allowed_of_.erase(entry.user);
    unlink(entry.local, node.key());
    if (entry.other)
        unlink(*entry.other, node.key());
    return entry;
}

void UdpBook::erase_expired(TimePoint now) {
    while (const auto due = expiries_.take(now))
        if (const auto& [flow, lease] = due->key; find(flow, lease) != nullptr)
            erase(flow);
}

void UdpBook::unlink(Cookie socket, const Flow& flow) {
    const auto found = by_socket_.find(socket);
    if (found == by_socket_.end())
        return;
    found->second.erase(flow);
    if (found->second.empty())
        by_socket_.erase(found);
}

} // namespace ubf
