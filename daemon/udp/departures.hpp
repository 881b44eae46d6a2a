// Sockets or flows that went away a moment ago, for callers who had just looked them up. Bounded:
// an evicted entry counts as gone.
#pragma once

#include "daemon/core/event_loop.hpp"

#include <cstddef>
#include <deque>
#include <unordered_map>
#include <utility>

namespace ubf {

template<typename T>
class Departures {
  public:
    void add(const T& item, TimePoint now) {
        while (!order_.empty() && now - order_.front().second > horizon)
            forget_oldest();
        if (order_.size() >= most) {
            forgotten_until_ = order_.front().second;
            forget_oldest();
        }
        order_.emplace_back(item, now);
        last_[item] = now;
    }

    // `since` must be no longer ago than the horizon.
    bool maybe_since(const T& item, TimePoint since) const {
        if (since <= forgotten_until_)
            return true;
        return certainly_since(item, since);
    }

    // The same, but an evicted entry does not count as gone.
    bool certainly_since(const T& item, TimePoint since) const {
        const auto found = last_.find(item);
        return found != last_.end() && found->second >= since;
    }

  private:
    void forget_oldest() {
        const auto& [item, when] = order_.front();
        if (const auto found = last_.find(item); found != last_.end() && found->second == when)
            last_.erase(found);
        order_.pop_front();
    }

    static constexpr std::chrono::seconds horizon{2}; // no packet waits as long
    static constexpr std::size_t most = 16384;

    std::deque<std::pair<T, TimePoint>> order_;
    std::unordered_map<T, TimePoint> last_;
    TimePoint forgotten_until_{};
};

} // namespace ubf
