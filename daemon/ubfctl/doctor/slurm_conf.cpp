#include "daemon/ubfctl/doctor/slurm_conf.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cstdint>

namespace ubf::ctl::doctor {
namespace {

constexpr unsigned deepest = 8;         // files that include files
constexpr std::size_t most = 1'000'000; // names that are counted

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Removes a comment. A backslash before # takes away its meaning.
std::string_view without_comment(std::string_view line) {
    for (std::size_t i = 0; i < line.size(); ++i)
        if (line[i] == '#' && (i == 0 || line[i - 1] != '\\'))
            return line.substr(0, i);
    return line;
}

// The next pair KEY=VALUE, of which the value may be quoted; an empty key at the end.
struct Pair {
    std::string_view key;
    std::string_view value;
};

Pair next_pair(std::string_view& line) {
    line = trim(line);
    const auto equals = line.find_first_of("= \t");
    if (equals == std::string_view::npos) {
        const auto key = line;
        line = {};
        return {key, {}};
    }
    const auto key = line.substr(0, equals);
    line = trim(line.substr(equals));
    if (!line.starts_with('='))
        return {key, {}};
    line = trim(line.substr(1));
    const bool quoted = line.starts_with('"');
    if (quoted)
        line.remove_prefix(1);
    const auto end = std::min(line.find_first_of(quoted ? "\"" : " \t"), line.size());
    const auto value = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return {key, value};
}

std::size_t count_range(std::string_view range) {
    const auto first = number<std::uint32_t>(split(range, '-'));
    const auto last = range.empty() ? first : number<std::uint32_t>(range);
    return first && last && *first <= *last ? std::size_t{*last} - *first + 1 : 1;
}

std::size_t count_name(std::string_view name) {
    std::size_t count = 1;
    for (auto open = name.find('['); open != std::string_view::npos; open = name.find('[')) {
        name.remove_prefix(open + 1);
        auto ranges = split(name, ']');
        std::size_t sum = 0;
        while (!ranges.empty())
            sum += count_range(split(ranges, ','));
        count = std::min(most, count * std::min(sum, most));
    }
    return count;
}

} // namespace

std::string to_lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), lower);
    return result;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

std::size_t count_names(std::string_view list) {
    std::size_t sum = 0;
    int depth = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= list.size(); ++i) {
        const char c = i < list.size() ? list[i] : ',';
        depth += c == '[' ? 1 : c == ']' ? -1 : 0;
        if (c != ',' || (depth > 0 && i < list.size()))
            continue;
        if (i > begin)
            sum = std::min(most, sum + count_name(list.substr(begin, i - begin)));
        begin = i + 1;
    }
    return sum;
}

SlurmConf::SlurmConf(std::string_view text, const Include& include) {
    read(text, include, 0);
}

void SlurmConf::read(std::string_view text, const Include& include, unsigned depth) {
    std::string whole; // a line and those that continue it
    while (!text.empty()) {
        whole += without_comment(split(text, '\n'));
        const auto end = trim(whole);
        if (end.ends_with('\\') && !text.empty()) {
            whole = std::string(end.substr(0, end.size() - 1));
            continue;
        }
        take(end, include, depth);
        whole.clear();
    }
}

void SlurmConf::take(std::string_view line, const Include& include, unsigned depth) {
    auto rest = line;
    const auto first = next_pair(rest);
    const auto head = to_lower(first.key);
    if (head == "include" && first.value.empty()) {
        const std::string file(trim(rest));
        const auto text = depth < deepest ? include(file) : std::nullopt;
        if (text)
            read(*text, include, depth + 1);
        else
            missing_ = file;
        return;
    }
    if (head == "nodename") {
        if (to_lower(first.value) != "default")
            nodes_ = std::min(most, nodes_ + count_names(first.value));
        return;
    }
    for (const auto* other : {"partitionname", "downnodes", "nodeset", "frontendname"})
        if (head == other)
            return;
    for (rest = line; !trim(rest).empty();) {
        const auto pair = next_pair(rest);
        values_[to_lower(pair.key)] = pair.value;
    }
}

std::string SlurmConf::get(std::string_view key) const {
    const auto found = values_.find(to_lower(key));
    return found == values_.end() ? std::string() : found->second;
}

bool SlurmConf::lists(std::string_view key, std::string_view word) const {
    const auto value = to_lower(get(key));
    for (std::string_view rest = value; !rest.empty();) {
        auto item = trim(split(rest, ','));
        if (trim(split(item, '=')) == to_lower(word))
            return true;
    }
    return false;
}

} // namespace ubf::ctl::doctor
