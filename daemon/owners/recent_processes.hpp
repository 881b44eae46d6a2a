// The processes of each user in which a search found a socket lately: the next socket is most
// likely one of theirs. Any thread may call.
#pragma once

#include "base/guarded.hpp"
#include "base/types.hpp"

#include <cstddef>
#include <unordered_map>
#include <vector>

namespace ubf {

class RecentProcesses {
  public:
    std::vector<Pid> of(Uid uid) const {
        const auto users = users_.lock();
        const auto found = users->find(uid);
        return found == users->end() ? std::vector<Pid>{} : found->second;
    }

    void add(Uid uid, Pid pid) {
        const auto users = users_.lock();
        if (users->size() >= most_users)
            users->clear();
        auto& pids = (*users)[uid];
        std::erase(pids, pid);
        pids.insert(pids.begin(), pid);
        if (pids.size() > most_of_one)
            pids.pop_back();
    }

  private:
    static constexpr std::size_t most_users = 16384;
    static constexpr std::size_t most_of_one = 8;

    Guarded<std::unordered_map<Uid, std::vector<Pid>>> users_; // the most recent process first
};

} // namespace ubf
