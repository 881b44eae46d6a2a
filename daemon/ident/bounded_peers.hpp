// A record of each peer, by address, with bounded room. Anyone can make the node ask about an
// address, so peers that have not proven to be there are evicted first, the longest unproven one
// before all others. A proven peer is evicted only for another proven one.
#pragma once

#include "flow/address.hpp"

#include <cstddef>
#include <list>
#include <unordered_map>

namespace ubf {

template<typename State>
class BoundedPeers {
    using Order = std::list<Address>; // the longest unchanged first

  public:
    class Entry {
      public:
        State state{};
        bool proven() const { return proven_; }

      private:
        friend class BoundedPeers;
        bool proven_ = false;
        typename Order::iterator place_;
    };
    using Entries = std::unordered_map<Address, Entry>;

    explicit BoundedPeers(std::size_t most)
      : most_(most) {}

    const Entries& all() const { return entries_; }
    Entry* find(const Address& address) {
        const auto found = entries_.find(address);
        return found == entries_.end() ? nullptr : &found->second;
    }
    // Finds or adds the peer. nullptr if proven peers take all room.
    Entry* add(const Address& address) { return add(address, unproven_); }
    // Finds or adds the peer, and marks it as proven; there is always room.
    Entry& prove(const Address& address) {
        auto& entry = *add(address, unproven_.empty() ? proven_ : unproven_);
        proven_.splice(proven_.end(), order_of(entry), entry.place_);
        entry.proven_ = true;
        return entry;
    }
    // The peer does not seem to be there any more.
    void doubt(Entry& entry) {
        unproven_.splice(unproven_.end(), order_of(entry), entry.place_);
        entry.proven_ = false;
    }

  private:
    Entry* add(const Address& address, Order& gives_way) {
        if (auto* known = find(address))
            return known;
        if (entries_.size() >= most_) {
            if (gives_way.empty())
                return nullptr;
            entries_.erase(gives_way.front());
            gives_way.pop_front();
        }
        auto& entry = entries_[address];
        entry.place_ = unproven_.insert(unproven_.end(), address);
        return &entry;
    }
    Order& order_of(const Entry& entry) { return entry.proven_ ? proven_ : unproven_; }

    const std::size_t most_;
    Entries entries_;
    Order proven_;
    Order unproven_;
};

} // namespace ubf
