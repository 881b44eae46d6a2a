// The room in memory for TCP flows that a label allowed, of all workers: each of them must be ended
// when the label is withdrawn, so none is forgotten. Any thread may use it.
//
// A user may have as many flows as there is room left. One user alone gets half of it, and every
// newcomer finds some (dynamic thresholds: Choudhury and Hahne, 1998).
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace ubf {

class LabelledRoom {
  public:
    using User = std::uint64_t; // whom a flow is charged to

    static constexpr std::size_t most = 262144; // flows, of 120 bytes each

    bool has_room(User user) const {
        const std::lock_guard lock(mutex_);
        const auto found = counts_.find(user);
        return (found == counts_.end() ? 0 : found->second) + all_ < most;
    }
    void add(User user) {
        const std::lock_guard lock(mutex_);
        ++counts_[user];
        ++all_;
    }
    void remove(User user) {
        const std::lock_guard lock(mutex_);
        const auto found = counts_.find(user);
        if (--found->second == 0)
            counts_.erase(found);
        --all_;
    }

  private:
    mutable std::mutex mutex_;
    std::unordered_map<User, std::size_t> counts_;
    std::size_t all_ = 0;
};

} // namespace ubf
