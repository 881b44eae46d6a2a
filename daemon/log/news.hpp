// Keys to name in the log: each at once, and again if it is still so a while later. At most 32
// within that time, a line each. Pure memory, and little of it.
#pragma once

#include "base/clock.hpp"

#include <cstddef>
#include <map>
#include <vector>

namespace ubf {

template<typename Key>
class News {
  public:
    static constexpr std::size_t most = 32;

    explicit News(Clock::duration again_after)
      : again_after_(again_after) {}

    struct Found {
        std::vector<Key> news{};
        std::size_t others = 0; // for which there is no room
    };
    // keys: all that are so now.
    Found find(const std::vector<Key>& keys, TimePoint now) {
        std::erase_if(told_, [&](const auto& told) { return now - told.second >= again_after_; });
        Found found;
        for (const auto& key : keys) {
            if (told_.contains(key))
                continue;
            if (told_.size() >= most) {
                ++found.others;
                continue;
            }
            told_.emplace(key, now);
            found.news.push_back(key);
        }
        return found;
    }

  private:
    const Clock::duration again_after_;
    std::map<Key, TimePoint> told_;
};

} // namespace ubf
