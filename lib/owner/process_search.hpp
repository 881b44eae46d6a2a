// Finds the processes that hold a socket, from /proc: for a listener's effective gid, and for
// program names in the log. A socket's uid never comes from here.
// The cost grows with the node's processes, so a search never runs on the packet path.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "owner/owner.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ubf {

// The fields of /proc/PID/status that ubfd uses.
struct ProcessStatus {
    std::string comm;
    Uid uid{}; // effective
    Gid gid{}; // effective
    std::vector<Gid> groups;
    Pid process{}; // of which this task is a thread (Tgid)
    Uid real_uid{};
    Gid real_gid{};

    // False for a set-user-ID or set-group-ID program: its identity tells nothing about the user
    // who started it. A program of root's that works for a user counts as that user's.
    bool is_its_users() const { return uid == real_uid || real_uid == Uid{0}; }
    bool is_itself() const { return is_its_users() && gid == real_gid; }
};

// Nothing if a field is missing or not a number. comm is the process's own choice: any bytes.
std::optional<ProcessStatus> parse_status(std::string_view status);

// The further files to read, for a process's labels.
struct ProcessDetails {
    bool cgroups = false; // /proc/PID/cgroup
    bool context = false; // /proc/PID/attr/current
    bool program = false; // /proc/PID/exe

    bool any() const { return cgroups || context || program; }
};

struct Holder {
    Pid pid{};
    ProcessStatus status;
    std::string cgroups{}; // if wanted
    std::string context{};
    bool is_slurmstepd = false; // root's, if wanted
};

struct SearchResult {
    std::vector<Holder> holders;
    Method method = Method::uid_processes;
    // False: time ran out, or a process did not let us look; there may be more holders.
    bool complete = false;
    bool in_time = true;
};

class ProcessSearch {
  public:
    using Clock = std::chrono::steady_clock;

    // Throws std::system_error if /proc can't be opened.
    explicit ProcessSearch(const char* root = "/proc");

    // All processes of that uid that hold any of the sockets or, if there are none, those of other
    // users. Not complete if one of several sockets has no holder of that uid. If the kernel has
    // listed all holders, `among` has them; a 0 is a process that can't be seen. Otherwise all
    // processes are looked at, descriptor by descriptor.
    SearchResult holders(std::span<const std::uint32_t> inodes, Uid uid, Clock::time_point deadline,
                         ProcessDetails details = {},
                         const std::optional<std::vector<Pid>>& among = std::nullopt) const;
    // The first of these processes that is this uid's and holds the socket.
    std::optional<Holder> holder_among(std::span<const Pid> pids, std::uint32_t inode, Uid uid,
                                       ProcessDetails details = {}) const;
    // The data of a task, whatever it holds; nothing if it has ended. If its number is reused
    // meanwhile, all data still comes from one task. The caller must make sure which task that was.
    std::optional<Holder> task(Pid task, ProcessDetails details = {}) const;

    // The inodes of the sockets that the process holds; none if it does not let us look.
    std::vector<std::uint32_t> sockets_of(Pid pid) const;

  private:
    struct Sought {
        std::uint32_t inode;
        bool found = false;
    };
    std::optional<std::vector<Pid>> all() const;
    void look_at(Pid pid, ProcessDetails details, std::vector<Sought>& sought,
                 SearchResult& result) const;

    UniqueFd root_;
};

// The credentials that all holders of a flow's sockets share: a gid and groups that each of them
// has. If there are holders of the socket's own uid, only these count. A set-group-ID program has
// no gid here, since it must not lend its own to an inherited socket. A set-user-ID program has no
// groups here either.
Credentials common_credentials(const SearchResult& result, Uid uid);

} // namespace ubf
