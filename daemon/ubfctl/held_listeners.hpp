// The listeners of this node with the processes that hold them, from one look at /proc. Root sees
// all of them; another user sees their own.
#pragma once

#include "daemon/ubfctl/listening.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

struct HeldListener {
    Listening listener;
    Pid pid{}; // 0: no process was found
    std::string program{};
    Gid gid{};                 // effective, of the process: the group that it is open to
    std::uint64_t started = 0; // in clock ticks since the boot, as in /proc/PID/stat
    bool in_job = false;
    std::string job{};
    std::string cgroup{}; // the first one
};

// uid: of this user alone. A listener that several processes hold is there once, with one of them.
std::vector<HeldListener> held_listeners(std::optional<Uid> uid);
// The same, but with each process that holds it.
std::vector<HeldListener> all_held_listeners(std::optional<Uid> uid);

// When the process began; nothing if it has ended. The text of /proc/PID/stat.
std::optional<std::uint64_t> start_of(std::string_view stat);

// Kills the process if it still is the one that was found, and still this user's. Whether it did.
bool kill_holder(const HeldListener& held);

// The users whom the configuration lets listen without a job. leftovers: as ubfd has replied.
std::vector<UidRange> kept_users(const nlohmann::ordered_json& leftovers);

} // namespace ubf::ctl
