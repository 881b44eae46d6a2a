#include "daemon/ubfctl/files.hpp"

#include "base/text.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ubf::ctl {
namespace {

constexpr std::size_t most_of_file = std::size_t{4} << 20;
constexpr std::size_t most_printed = std::size_t{1} << 20;
constexpr std::chrono::seconds patience{5};

// Reads on until the end, the limit or the deadline. Whether the end was reached.
bool read_all(int fd, std::string& text, std::size_t most,
              std::chrono::steady_clock::time_point deadline) {
    std::array<char, 4096> chunk;
    while (text.size() < most) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd wanted{fd, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&wanted, 1, static_cast<int>(left.count())) == 0)
            return false;
        const auto length = ::read(fd, chunk.data(), chunk.size());
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length == 0;
        text.append(chunk.data(), static_cast<std::size_t>(length));
    }
    return false;
}

pid_t spawn(const std::vector<std::string>& command, int output) {
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (const auto& word : command)
        words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, 1);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t child = -1;
    if (::posix_spawnp(&child, words.front(), &actions, nullptr, words.data(), environ) != 0)
        child = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    return child;
}

} // namespace

std::optional<std::string> read_text(const std::filesystem::path& file) {
    // O_NONBLOCK: a FIFO must not hold us up.
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
        return std::nullopt;
    std::string text;
    if (!read_all(fd.get(), text, most_of_file, std::chrono::steady_clock::now() + patience))
        return std::nullopt;
    return text;
}

std::string first_line(const std::filesystem::path& file) {
    const auto text = read_text(file).value_or(std::string());
    auto line = text.substr(0, text.find_first_of(std::string_view("\n\0", 2)));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    return line;
}

std::optional<std::uint64_t> first_number(const std::filesystem::path& file) {
    return number<std::uint64_t>(first_line(file));
}

std::vector<std::filesystem::path> matching(const std::string& pattern) {
    std::vector<std::filesystem::path> found;
    glob_t all{};
    if (::glob(pattern.c_str(), 0, nullptr, &all) == 0)
        for (std::size_t i = 0; i < all.gl_pathc; ++i)
            found.emplace_back(all.gl_pathv[i]);
    ::globfree(&all);
    return found;
}

std::vector<std::string> words(std::string_view line) {
    std::vector<std::string> found;
    constexpr std::string_view blanks = " \t";
    while (true) {
        line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
        if (line.empty())
            return found;
        const auto end = std::min(line.find_first_of(blanks), line.size());
        found.emplace_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

std::optional<std::string> printed(const std::vector<std::string>& command) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return std::nullopt;
    const UniqueFd in(ends[0]);
    UniqueFd out(ends[1]);
    const auto child = spawn(command, out.get());
    out = UniqueFd();
    if (child < 0)
        return std::nullopt;
    std::string text;
    const bool whole =
        read_all(in.get(), text, most_printed, std::chrono::steady_clock::now() + patience);
    if (!whole)
        ::kill(child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return whole && status == 0 ? std::optional(text) : std::nullopt;
}

} // namespace ubf::ctl
