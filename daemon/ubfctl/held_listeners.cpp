#include "daemon/ubfctl/held_listeners.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "daemon/ubfctl/files.hpp"
#include "label/slurm.hpp"
#include "owner/process_search.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <set>
#include <sys/syscall.h>
#include <unistd.h>
#include <unordered_map>

namespace ubf::ctl {
namespace {

namespace fs = std::filesystem;
using Inodes = std::vector<std::uint32_t>;

fs::path folder_of(Pid pid) {
    return fs::path("/proc") / std::to_string(value(pid));
}

std::string text_of(const fs::path& file) {
    return read_text(file).value_or(std::string());
}

void describe(HeldListener& held) {
    const auto folder = folder_of(held.pid);
    const auto status = parse_status(text_of(folder / "status"));
    const auto cgroups = text_of(folder / "cgroup");
    held.started = start_of(text_of(folder / "stat")).value_or(0);
    if (status) {
        held.program = status->comm;
        held.gid = status->gid;
    }
    const auto place = slurm_place(cgroups);
    held.in_job = place.in_job;
    held.job = place.job;
    held.cgroup = cgroups.substr(0, cgroups.find('\n'));
}

} // namespace

std::optional<std::uint64_t> start_of(std::string_view stat) {
    // The name is in parentheses and may hold any bytes, so the last one ends it.
    const auto end = stat.rfind(')');
    if (end == std::string_view::npos)
        return std::nullopt;
    const auto fields = words(stat.substr(end + 1));
    constexpr std::size_t start = 22 - 3; // proc(5) counts from 1, and the state is the third
    return fields.size() > start ? number<std::uint64_t>(fields[start]) : std::nullopt;
}

std::vector<HeldListener> held_listeners(std::optional<Uid> uid) {
    auto found = all_held_listeners(uid);
    // The holders of one listener stand together.
    const auto is_same = [](const HeldListener& one, const HeldListener& other) {
        return one.listener.inode == other.listener.inode &&
               one.listener.place == other.listener.place;
    };
    found.erase(std::unique(found.begin(), found.end(), is_same), found.end());
    return found;
}

std::vector<HeldListener> all_held_listeners(std::optional<Uid> uid) {
    auto listeners = listening();
    std::erase_if(listeners, [&](const Listening& one) { return uid && one.uid != *uid; });
    std::unordered_map<std::uint32_t, std::set<Pid>> holders; // of a socket, by its inode
    for (const auto& one : listeners)
        holders.try_emplace(one.inode);
    const ProcessSearch processes;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const auto pid = number<std::int32_t>(entry.path().filename().string());
        for (const auto inode : pid ? processes.sockets_of(Pid{*pid}) : Inodes())
            if (const auto holder = holders.find(inode); holder != holders.end())
                holder->second.insert(Pid{*pid});
    }
    std::vector<HeldListener> found;
    std::unordered_map<std::int32_t, HeldListener> described;
    for (const auto& listener : listeners) {
        const auto& pids = holders[listener.inode];
        if (pids.empty())
            found.emplace_back().listener = listener;
        for (const Pid pid : pids) {
            const auto [known, fresh] =
                described.try_emplace(value(pid), HeldListener{listener, pid});
            if (fresh)
                describe(known->second);
            found.push_back(known->second);
            found.back().listener = listener;
        }
    }
    return found;
}

std::vector<UidRange> kept_users(const nlohmann::ordered_json& leftovers) {
    std::vector<UidRange> users;
    for (const auto& range : leftovers.at("keep"))
        users.push_back(
            {Uid{range.at(0).get<std::uint32_t>()}, Uid{range.at(1).get<std::uint32_t>()}});
    return users;
}

bool kill_holder(const HeldListener& held) {
    // The descriptor stays with this very process, whatever gets its number.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, value(held.pid), 0)));
    if (!process)
        return false;
    const auto folder = folder_of(held.pid);
    const auto status = parse_status(text_of(folder / "status"));
    const bool same = status && status->uid == held.listener.uid &&
                      status->real_uid == held.listener.uid &&
                      start_of(text_of(folder / "stat")) == held.started;
    return same && ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) == 0;
}

} // namespace ubf::ctl
