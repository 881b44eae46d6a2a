// Small reads of files that may be missing, or too large.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::ctl {

// The file's text, 4 MiB at most; nothing if it can't be read.
std::optional<std::string> read_text(const std::filesystem::path& file);
// The first line, without blanks around it; empty if it can't be read.
std::string first_line(const std::filesystem::path& file);
// The first number in the file.
std::optional<std::uint64_t> first_number(const std::filesystem::path& file);
// Calls `each` with every line, without a comment behind '#' and without blanks around it.
template<typename Each>
void each_line(std::string_view text, Each&& each);
// Files that match the pattern of glob(7), sorted.
std::vector<std::filesystem::path> matching(const std::string& pattern);

// The blank-separated words of a line.
std::vector<std::string> words(std::string_view line);

// The output of the program, 1 MiB at most; nothing if it fails, or takes longer than five seconds.
// No shell is between.
std::optional<std::string> printed(const std::vector<std::string>& command);

template<typename Each>
void each_line(std::string_view text, Each&& each) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        line = line.substr(0, line.find('#'));
        const auto begin = line.find_first_not_of(" \t\r");
        if (begin != std::string_view::npos)
            each(line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin));
    }
}

} // namespace ubf::ctl
