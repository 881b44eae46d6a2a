// Which processes hold a socket, from /proc: for the effective gid of a listener, and for the names
// of programs in the log. The uid of a socket never comes from here.
// It costs time that grows with the processes of the node, so it never runs on the packet path.
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

// What /proc/PID/status says.
struct ProcessStatus {
    std::string comm;
    Uid uid{}; // effective
    Gid gid{}; // effective
    std::vector<Gid> groups;
    Pid process{}; // of which it is a thread, if not the first
    Uid real_uid{};
    Gid real_gid{};

    // False of a program that took another user's or group's identity when it was started
    // (set-user-ID, set-group-ID): its identity says nothing of whoever started it. One of root's
    // that works for a user is that user's.
    bool is_its_users() const { return uid == real_uid || real_uid == Uid{0}; }
    bool is_itself() const { return is_its_users() && gid == real_gid; }
};

// Nothing where a field is missing or is not a number. comm is what the process calls itself: any
// bytes.
std::optional<ProcessStatus> parse_status(std::string_view status);

// More that is read of a process, for its labels.
struct ProcessDetails {
    bool cgroups = false; // /proc/PID/cgroup
    bool context = false; // /proc/PID/attr/current

    bool any() const { return cgroups || context; }
};

struct Holder {
    Pid pid{};
    ProcessStatus status;
    std::string cgroups{}; // as they were wanted
    std::string context{};
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

    // Throws std::system_error where /proc can't be opened.
    explicit ProcessSearch(const char* root = "/proc");

    // All processes of that uid which hold any of the sockets; where there is none, everybody's.
    // Not complete where one of several sockets has no holder of that uid.
    SearchResult holders(std::span<const std::uint32_t> inodes, Uid uid, Clock::time_point deadline,
                         ProcessDetails details = {}) const;
    // The first of these processes that is this uid's and holds the socket.
    std::optional<Holder> holder_among(std::span<const Pid> pids, std::uint32_t inode, Uid uid,
                                       ProcessDetails details = {}) const;
    // What a task is, whatever it holds; nothing where it has ended. Of one task even if it ends
    // meanwhile and its number is given to another; which of them it was is for the caller to know.
    std::optional<Holder> task(Pid task, ProcessDetails details = {}) const;

  private:
    struct Sought {
        std::uint32_t inode;
        bool found = false;
    };
    void look_at(Pid pid, ProcessDetails details, std::vector<Sought>& sought,
                 SearchResult& result) const;

    UniqueFd root_;
};

// What may be said of a flow's end whose sockets these processes hold, however they were found: a
// gid that all of them have, groups that all of them have. Holders of the socket's own uid only are
// asked when there are any. A set-group-ID program has no gid, for it must not lend its own to a
// socket that it inherited; a set-user-ID program has no groups either.
Credentials common_credentials(const SearchResult& result, Uid uid);

} // namespace ubf
