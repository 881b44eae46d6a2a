// Keys in the order of their deadlines.
//
// A key that moves is added again, and a key that goes away is left where it is: the caller skips
// deadlines that have become stale. So no entry is searched for, and none is allocated by itself.
// The caller bounds how many it adds.
#pragma once

#include "base/clock.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace ubf {

enum class Times : std::uint8_t {
    any,      // a heap: O(log n)
    in_order, // a queue: O(1), for equal spans. If one is shorter, it waits for those before it.
};

template<typename Key, Times times = Times::any>
class Deadlines {
  public:
    struct Due {
        TimePoint when;
        Key key;
    };

    void add(TimePoint when, Key key) {
        entries_.push_back({when, std::move(key)});
        if constexpr (times == Times::any)
            std::ranges::push_heap(entries_, Later());
    }

    // The first whose time has come. If two are equal, a queue has the one that was added first.
    std::optional<Due> take(TimePoint now) {
        if (entries_.empty() || entries_.front().when > now)
            return std::nullopt;
        if constexpr (times == Times::in_order) {
            std::optional<Due> due(std::move(entries_.front()));
            entries_.pop_front();
            return due;
        } else {
            std::ranges::pop_heap(entries_, Later());
            std::optional<Due> due(std::move(entries_.back()));
            entries_.pop_back();
            return due;
        }
    }

    // It may be stale.
    std::optional<TimePoint> next() const {
        return entries_.empty() ? std::nullopt : std::optional(entries_.front().when);
    }
    std::size_t size() const { return entries_.size(); } // with stale ones
    void clear() { entries_.clear(); }

  private:
    struct Later {
        bool operator()(const Due& one, const Due& other) const { return one.when > other.when; }
    };

    std::conditional_t<times == Times::in_order, std::deque<Due>, std::vector<Due>> entries_;
};

} // namespace ubf
