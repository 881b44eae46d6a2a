// The room in memory for TCP flows that a label allowed, of all workers: each of them must be ended
// when the label is withdrawn, so none is forgotten. Any thread may use it.
//
// A user may have as many flows as there is room left. One user alone gets half of it, and every
// newcomer finds some (dynamic thresholds: Choudhury and Hahne, 1998).
#pragma once

#include "base/guarded.hpp"

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace ubf {

class LabelledRoom {
  public:
    using User = std::uint64_t; // whom a flow is charged to

    static constexpr std::size_t most = 262144; // flows, of 120 bytes each

    bool has_room(User user) const {
        const auto taken = taken_.lock();
        const auto found = taken->by_user.find(user);
        return (found == taken->by_user.end() ? 0 : found->second) + taken->all < most;
    }
    void add(User user) {
        const auto taken = taken_.lock();
        ++taken->by_user[user];
        ++taken->all;
    }
    void remove(User user) {
        const auto taken = taken_.lock();
        const auto found = taken->by_user.find(user);
        if (--found->second == 0)
            taken->by_user.erase(found);
        --taken->all;
    }

  private:
    struct Taken {
        std::unordered_map<User, std::size_t> by_user;
        std::size_t all = 0;
    };
    Guarded<Taken> taken_;
};

} // namespace ubf
