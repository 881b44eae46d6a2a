// The users whose processes changed their labels, and since when, so that nobody relies on a
// look-up from before the change. Any thread may ask.
#pragma once

#include "base/types.hpp"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace ubf {

class Changes {
  public:
    enum class Moment : std::uint64_t {};

    void add(Uid uid) {
        const std::lock_guard lock(mutex_);
        // Bounded: an evicted user counts as changed.
        if (last_.size() >= most)
            forget_all();
        last_[uid] = ++now_;
    }
    void add_all() {
        const std::lock_guard lock(mutex_);
        forget_all();
    }

    Moment now() const {
        const std::lock_guard lock(mutex_);
        return Moment{now_};
    }
    bool since(Moment then, Uid uid) const {
        const std::lock_guard lock(mutex_);
        const auto found = last_.find(uid);
        const auto changed = found == last_.end() ? all_ : found->second;
        return changed > static_cast<std::uint64_t>(then);
    }

  private:
    void forget_all() {
        last_.clear();
        all_ = ++now_;
    }

    static constexpr std::size_t most = 16384;

    mutable std::mutex mutex_;
    std::uint64_t now_ = 0;
    std::uint64_t all_ = 0; // of those who have no entry
    std::unordered_map<Uid, std::uint64_t> last_;
};

} // namespace ubf
