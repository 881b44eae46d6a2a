#include "daemon/fabric/rdma_book.hpp"

#include <utility>

namespace ubf {

RdmaBook::Entry* RdmaBook::add(rdma::Connection connection, Owner owner) {
    if (entries_.size() >= most_entries)
        return nullptr;
    const auto key = connection.key;
    if (connection.connected)
        by_way_out_.emplace(connection.way_out(), key);
    Entry entry{std::move(connection), std::move(owner)};
    return &entries_.insert_or_assign(key, std::move(entry)).first->second;
}

RdmaBook::Entry* RdmaBook::find(const rdma::CmKey& key) {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

void RdmaBook::update(Entry& entry, const rdma::Connection& now) {
    entry.is.established = now.established;
    if (entry.is.connected && !now.connected)
        forget_ends(entry);
    else if (!entry.is.connected && now.connected)
        by_way_out_.emplace(entry.is.way_out(), entry.is.key);
    entry.is.connected = now.connected;
}

void RdmaBook::remove(const rdma::CmKey& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end())
        return;
    forget_ends(found->second);
    entries_.erase(found);
}

void RdmaBook::forget_ends(const Entry& entry) {
    const auto [first, last] = by_way_out_.equal_range(entry.is.way_out());
    for (auto at = first; at != last; ++at)
        if (at->second == entry.is.key) {
            by_way_out_.erase(at);
            return;
        }
}

void RdmaBook::clear() {
    entries_.clear();
    by_way_out_.clear();
}

void RdmaBook::each(const std::function<void(Entry&)>& visit) {
    for (auto& [key, entry] : entries_)
        visit(entry);
}

const RdmaBook::Entry* RdmaBook::counterpart(const Entry& entry) const {
    const auto [first, last] = by_way_out_.equal_range(entry.is.way_out().reversed());
    for (auto at = first; at != last; ++at) {
        const auto& candidate = entries_.at(at->second);
        if (candidate.is.port_space == entry.is.port_space)
            return &candidate;
    }
    return nullptr;
}

RdmaBook::Found RdmaBook::at(const Flow& flow) const {
    Found result;
    const auto [first, last] = by_way_out_.equal_range(flow);
    for (auto at = first; at != last; ++at) {
        const auto& owner = entries_.at(at->second).owner;
        const bool differs =
            result.any && (result.owner.kind != owner.kind || result.owner.uid != owner.uid);
        if (differs)
            return {true, Owner{}};
        result = {true, owner};
    }
    return result;
}

} // namespace ubf
