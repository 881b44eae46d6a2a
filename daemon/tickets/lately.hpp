// Facts that were found lately, so that a burst of questions finds them once. At most 1,024, each
// for a second.
#pragma once

#include "daemon/core/event_loop.hpp"

#include <chrono>
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
    const Value& put(const Key& key, Value value, TimePoint now) {
        if (facts_.size() >= most && !facts_.contains(key)) {
            std::erase_if(facts_, [&](const auto& known) { return known.second.until <= now; });
            if (facts_.size() >= most)
                facts_.erase(facts_.begin());
        }
        auto& fact = facts_[key];
        fact = {std::move(value), now + lifetime};
        return fact.value;
    }
    void clear() { facts_.clear(); }

  private:
    struct Fact {
        Value value;
        TimePoint until;
    };

    std::unordered_map<Key, Fact> facts_;
};

} // namespace ubf
