// Facts that were found lately, so that a burst of questions finds them once. At most 1,024, each
// for a second, or as its finder says. The one that expires next gives way.
#pragma once

#include "base/clock.hpp"

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <utility>

namespace ubf {

template<typename Key, typename Value>
class Lately {
  public:
    static constexpr std::size_t most = 1024;
    static constexpr std::chrono::seconds lifetime{1};

    // Nothing if it must be found anew. Good until the next put().
    const Value* find(const Key& key, TimePoint now) const {
        const auto found = facts_.find(key);
        return found == facts_.end() || found->second.until <= now ? nullptr : &found->second.value;
    }
    const Value& put(const Key& key, Value value, TimePoint now, Clock::duration span = lifetime) {
        if (facts_.size() >= most && !facts_.contains(key))
            facts_.erase(std::ranges::min_element(
                facts_, {}, [](const auto& known) { return known.second.until; }));
        auto& fact = facts_[key];
        fact = {std::move(value), now + span};
        return fact.value;
    }

  private:
    struct Fact {
        Value value;
        TimePoint until;
    };

    std::unordered_map<Key, Fact> facts_;
};

} // namespace ubf
