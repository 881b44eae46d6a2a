#include "owner/process_search.hpp"

#include "base/read_all.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>

namespace ubf {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

Dir open_dir(int at, const char* name) {
    UniqueFd fd(::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        return nullptr;
    Dir dir(::fdopendir(fd.get()));
    if (dir)
        fd.release();
    return dir;
}

// The n-th word of a line; blanks and tabs separate words.
std::string_view word(std::string_view line, std::size_t n) {
    constexpr std::string_view blanks = " \t";
    while (true) {
        const auto start = line.find_first_not_of(blanks);
        if (start == std::string_view::npos)
            return {};
        line.remove_prefix(start);
        const auto end = std::min(line.find_first_of(blanks), line.size());
        if (n-- == 0)
            return line.substr(0, end);
        line.remove_prefix(end);
    }
}

// Nothing if the link is no socket.
std::optional<std::uint32_t> socket_inode(std::string_view link) {
    constexpr std::string_view prefix = "socket:[";
    if (!link.starts_with(prefix) || !link.ends_with(']'))
        return std::nullopt;
    link.remove_prefix(prefix.size());
    link.remove_suffix(1);
    return number<std::uint32_t>(link);
}

// status shows a line feed as \n, and a backslash as two (fs/proc/array.c, proc_task_name).
std::string unescape(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            result += text[i];
            continue;
        }
        ++i;
        result += text[i] == 'n' ? '\n' : text[i];
    }
    return result;
}

std::optional<std::string> read_file(int at, const char* name) {
    // status holds up to 65,536 supplementary groups.
    constexpr std::size_t most = std::size_t{1} << 20;
    const UniqueFd fd(::openat(at, name, O_RDONLY | O_CLOEXEC));
    return fd ? read_all(fd.get(), most) : std::nullopt;
}

enum class Holds : std::uint8_t { no, yes, hidden };

// process: the open /proc/PID, which always belongs to this very process. After the process has
// ended it is empty, even if the number is reused. `is_it` gets each socket's inode. It returns
// whether the inode is sought, and whether that is enough.
enum class Look : std::uint8_t { no, yes, enough };

template<typename IsIt>
Holds holds(int process, IsIt&& is_it) {
    const auto dir = open_dir(process, "fd");
    if (!dir) // a process that ended meanwhile holds nothing
        return errno == ENOENT || errno == ESRCH ? Holds::no : Holds::hidden;
    const int at = ::dirfd(dir.get());
    auto result = Holds::no;
    std::array<char, 64> link;
    while (const dirent* entry = ::readdir(dir.get())) {
        const auto length = ::readlinkat(at, entry->d_name, link.data(), link.size());
        if (length < 0 && (errno == EACCES || errno == EPERM))
            return Holds::hidden;
        if (length <= 0)
            continue;
        const auto inode = socket_inode({link.data(), static_cast<std::size_t>(length)});
        const auto look = inode ? is_it(*inode) : Look::no;
        if (look != Look::no)
            result = Holds::yes;
        if (look == Look::enough)
            break;
    }
    return result;
}

// Only root can start a program with root's real uid, so its name says enough: a set-user-ID
// program has the real uid of the user who started it. The effective uid is the user's for a while:
// so slurmstepd opens the connection for the tasks' output. A package's upgrade may have removed
// the file.
bool is_slurmstepd(int process, const ProcessStatus& status) {
    if (status.real_uid != Uid{0})
        return false;
    std::array<char, 4096> link;
    const auto length = ::readlinkat(process, "exe", link.data(), link.size());
    if (length <= 0)
        return false;
    std::string_view path(link.data(), static_cast<std::size_t>(length));
    constexpr std::string_view removed = " (deleted)";
    if (path.ends_with(removed))
        path.remove_suffix(removed.size());
    return path.ends_with("/slurmstepd") || path.ends_with("/slurmstepd-wlm"); // Debian's name
}

std::optional<Holder> read_holder(int process, Pid pid, ProcessDetails details) {
    const auto text = read_file(process, "status");
    if (!text)
        return std::nullopt;
    auto status = parse_status(*text);
    if (!status)
        return std::nullopt;
    Holder holder{pid, std::move(*status)};
    if (details.cgroups) {
        auto cgroups = read_file(process, "cgroup");
        if (!cgroups)
            return std::nullopt;
        holder.cgroups = std::move(*cgroups);
    }
    if (details.context) {
        auto context = read_file(process, "attr/current");
        if (!context)
            return std::nullopt;
        holder.context = std::move(*context);
    }
    if (details.program)
        holder.is_slurmstepd = is_slurmstepd(process, holder.status);
    return holder;
}

SearchResult without_time(SearchResult found) {
    found.complete = false;
    found.in_time = false;
    return found;
}

UniqueFd open_process(int root, Pid pid) {
    return UniqueFd(
        ::openat(root, std::to_string(value(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// A user namespace gives any user as many groups as they have subordinate ids, 65,536 at most.
void keep_common(std::vector<Gid>& groups, std::vector<Gid> others) {
    std::ranges::sort(others);
    std::erase_if(groups, [&](Gid gid) { return !std::ranges::binary_search(others, gid); });
}

} // namespace

std::optional<ProcessStatus> parse_status(std::string_view status) {
    ProcessStatus result;
    bool has_uid = false;
    bool has_gid = false;
    // The first line of each name counts: comm is the process's own choice, but the kernel escapes
    // line feeds in it and writes it before everything else.
    while (!status.empty()) {
        const auto line = split(status, '\n');
        const auto colon = line.find(':');
        if (colon == std::string_view::npos)
            continue;
        const auto name = line.substr(0, colon);
        const auto value = line.substr(colon + 1);
        if (name == "Name" && result.comm.empty()) {
            result.comm = unescape(value.substr(std::min<std::size_t>(1, value.size())));
        } else if (name == "Tgid" && result.process == Pid{}) {
            result.process = Pid{number<std::int32_t>(word(value, 0)).value_or(0)};
        } else if (name == "Uid" && !has_uid) {
            const auto real = number<std::uint32_t>(word(value, 0)); // real, effective, ...
            const auto uid = number<std::uint32_t>(word(value, 1));
            if (!real || !uid)
                return std::nullopt;
            result.real_uid = Uid{*real};
            result.uid = Uid{*uid};
            has_uid = true;
        } else if (name == "Gid" && !has_gid) {
            const auto real = number<std::uint32_t>(word(value, 0));
            const auto gid = number<std::uint32_t>(word(value, 1));
            if (!real || !gid)
                return std::nullopt;
            result.real_gid = Gid{*real};
            result.gid = Gid{*gid};
            has_gid = true;
        } else if (name == "Groups") {
            auto rest = value;
            for (auto text = word(rest, 0); !text.empty(); text = word(rest, 0)) {
                const auto gid = number<std::uint32_t>(text);
                if (!gid)
                    return std::nullopt;
                result.groups.push_back(Gid{*gid});
                rest = std::string_view(text.data() + text.size(),
                                        static_cast<std::size_t>(value.data() + value.size() -
                                                                 (text.data() + text.size())));
            }
            break; // nothing that we need comes after it
        }
    }
    if (!has_uid || !has_gid)
        return std::nullopt;
    return result;
}

ProcessSearch::ProcessSearch(const char* root)
  : root_(::open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!root_)
        throw std::system_error(errno, std::generic_category(), fmt::format("opening {}", root));
}

std::optional<Holder> ProcessSearch::holder_among(std::span<const Pid> pids, std::uint32_t inode,
                                                  Uid uid, ProcessDetails details) const {
    for (const Pid pid : pids) {
        const auto process = open_process(root_.get(), pid);
        const auto is_it = [&](std::uint32_t one) {
            return one == inode ? Look::enough : Look::no;
        };
        if (!process || holds(process.get(), is_it) != Holds::yes)
            continue;
        auto found = read_holder(process.get(), pid, details);
        if (found && found->status.uid == uid)
            return found;
    }
    return std::nullopt;
}

std::optional<Holder> ProcessSearch::task(Pid task, ProcessDetails details) const {
    const auto process = open_process(root_.get(), task);
    return process ? read_holder(process.get(), task, details) : std::nullopt;
}

std::optional<std::vector<Pid>> ProcessSearch::all() const {
    const auto processes = open_dir(root_.get(), ".");
    if (!processes)
        return std::nullopt;
    std::vector<Pid> all;
    while (const dirent* entry = ::readdir(processes.get()))
        if (const auto pid = number<std::int32_t>(entry->d_name))
            all.push_back(Pid{*pid});
    return all;
}

SearchResult ProcessSearch::holders(std::span<const std::uint32_t> inodes, Uid uid,
                                    Clock::time_point deadline, ProcessDetails details,
                                    const std::optional<std::vector<Pid>>& among) const {
    std::vector<Sought> sought;
    for (const auto inode : inodes)
        sought.push_back({inode});
    std::ranges::sort(sought, {}, &Sought::inode);
    const auto pids = among ? among : all();
    if (!pids)
        return {};
    SearchResult result;
    result.complete = std::ranges::find(*pids, Pid{}) == pids->end();

    // The owner of /proc/PID is the effective uid, or root if the process can't be dumped.
    // Processes of other owners come second, and only if none of the uid's own holds the socket.
    std::vector<Pid> others;
    for (const Pid pid : *pids) {
        struct stat info {};
        if (::fstatat(root_.get(), std::to_string(value(pid)).c_str(), &info, 0) < 0)
            continue;
        if (Uid{info.st_uid} != uid) {
            others.push_back(pid);
            continue;
        }
        if (Clock::now() > deadline)
            return without_time(std::move(result));
        look_at(pid, details, sought, result);
    }
    if (result.holders.empty()) {
        result.method = Method::all_processes;
        for (const Pid pid : others) {
            if (Clock::now() > deadline)
                return without_time(std::move(result));
            look_at(pid, details, sought, result);
        }
    }
    if (sought.size() > 1 && !std::ranges::all_of(sought, &Sought::found))
        result.complete = false;
    return result;
}

void ProcessSearch::look_at(Pid pid, ProcessDetails details, std::vector<Sought>& sought,
                            SearchResult& result) const {
    const auto process = open_process(root_.get(), pid);
    if (!process && errno == ENOENT)
        return; // it ended meanwhile, and holds nothing
    const auto is_it = [&](std::uint32_t inode) {
        const auto found = std::ranges::lower_bound(sought, inode, {}, &Sought::inode);
        if (found == sought.end() || found->inode != inode)
            return Look::no;
        found->found = true;
        return sought.size() == 1 ? Look::enough : Look::yes;
    };
    const auto holds_it = process ? holds(process.get(), is_it) : Holds::hidden;
    if (holds_it == Holds::no)
        return;
    auto found = holds_it == Holds::yes ? read_holder(process.get(), pid, details) : std::nullopt;
    if (found)
        result.holders.push_back(std::move(*found));
    else
        result.complete = false;
}

std::vector<std::uint32_t> ProcessSearch::sockets_of(Pid pid) const {
    std::vector<std::uint32_t> inodes;
    const auto process = open_process(root_.get(), pid);
    if (process)
        holds(process.get(), [&](std::uint32_t inode) {
            inodes.push_back(inode);
            return Look::yes;
        });
    return inodes;
}

Credentials common_credentials(const SearchResult& result, Uid uid) {
    Credentials credentials;
    credentials.method = result.method;
    if (result.holders.empty())
        return credentials;
    credentials.slurmstepd =
        result.complete && std::ranges::all_of(result.holders, &Holder::is_slurmstepd);

    std::vector<const Holder*> holders;
    for (const auto& holder : result.holders)
        if (holder.status.uid == uid)
            holders.push_back(&holder);
    const bool own = !holders.empty();
    if (!own)
        for (const auto& holder : result.holders)
            holders.push_back(&holder);

    const auto& first = *holders.front();
    credentials.process = {first.pid, first.status.comm};
    // Another user's process tells nothing about the groups of the socket's user.
    if (!own || !result.complete)
        return credentials;
    credentials.gid = first.status.gid;
    credentials.groups = first.status.groups;
    for (const auto* holder : holders) {
        const auto& status = holder->status;
        if (!status.is_itself() || status.gid != credentials.gid)
            credentials.gid.reset();
        if (status.is_its_users())
            keep_common(credentials.groups, status.groups);
        else
            credentials.groups.clear();
    }
    return credentials;
}

} // namespace ubf
