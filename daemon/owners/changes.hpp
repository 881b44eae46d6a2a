// The users whose processes changed their labels, and since when, so that nobody relies on a
// look-up from before the change. Any thread may ask.
#pragma once

#include "base/guarded.hpp"
#include "base/types.hpp"

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace ubf {

class Changes {
  public:
    enum class Moment : std::uint64_t {};

    void add(Uid uid) {
        const auto known = known_.lock();
        // Bounded: an evicted user counts as changed.
        if (known->last.size() >= most)
            known->forget_all();
        known->last[uid] = ++known->now;
    }
    void add_all() { known_.lock()->forget_all(); }

    Moment now() const { return Moment{known_.lock()->now}; }
    bool since(Moment then, Uid uid) const {
        const auto known = known_.lock();
        const auto found = known->last.find(uid);
        const auto changed = found == known->last.end() ? known->all : found->second;
        return changed > static_cast<std::uint64_t>(then);
    }

  private:
    struct Known {
        std::uint64_t now = 0;
        std::uint64_t all = 0; // of those who have no entry
        std::unordered_map<Uid, std::uint64_t> last;

        void forget_all() {
            last.clear();
            all = ++now;
        }
    };
    static constexpr std::size_t most = 16384;

    Guarded<Known> known_;
};

} // namespace ubf
