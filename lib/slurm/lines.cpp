#include "slurm/lines.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"
#include "slurm/space.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace ubf::slurm {
namespace {

constexpr unsigned most_depth = 8;    // of files that include files
constexpr unsigned most_files = 1000; // in all
constexpr std::size_t most_lines = 1u << 20;

bool is_key(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

void skip_space(std::string_view& text) {
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
}

// A '#' begins a comment unless an odd number of backslashes stands before it.
std::string_view without_comment(std::string_view line) {
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] != '#')
            continue;
        std::size_t backslashes = 0;
        while (backslashes < i && line[i - 1 - backslashes] == '\\')
            ++backslashes;
        if (backslashes % 2 == 0)
            return line.substr(0, i);
    }
    return line;
}

// Removes the backslash at the end, which may have space behind it. Whether there was one.
bool strip_continuation(std::string_view& line) {
    auto end = line.size();
    while (end > 0 && is_space(line[end - 1]))
        --end;
    if (end == 0 || line[end - 1] != '\\')
        return false;
    line = line.substr(0, end - 1);
    return true;
}

std::string without_escapes(std::string_view line) {
    std::string result;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size())
            ++i;
        result += line[i];
    }
    return result;
}

// Takes one KEY=VALUE from the front. Nothing if there is none.
std::optional<Pair> take_pair(std::string_view& rest) {
    auto text = rest;
    std::size_t end = 0;
    while (end < text.size() && is_key(text[end]))
        ++end;
    Pair pair{to_lower(text.substr(0, end)), {}};
    text.remove_prefix(end);
    skip_space(text);
    if (text.size() > 1 && std::string_view("-+*/").find(text.front()) != std::string_view::npos)
        text.remove_prefix(1); // Slurm's operators, of other files
    if (pair.key.empty() || text.empty() || text.front() != '=')
        return std::nullopt;
    text.remove_prefix(1);
    skip_space(text);
    if (text.starts_with('"')) {
        const auto close = text.find('"', 1);
        if (close == std::string_view::npos)
            return std::nullopt;
        pair.value = text.substr(1, close - 1);
        text.remove_prefix(close + 1);
        if (!text.empty() && !is_space(text.front()))
            return std::nullopt;
    } else {
        const auto* const space = std::ranges::find_if(text, is_space);
        pair.value.assign(text.begin(), space);
        text.remove_prefix(pair.value.size());
        if (pair.value.empty())
            return std::nullopt;
    }
    rest = text;
    return pair;
}

class LineReader {
  public:
    LineReader(const std::string& top, const Open& open, std::vector<Mistake>& mistakes)
      : open_(open)
      , mistakes_(mistakes) {
        if (const auto slash = top.rfind('/'); slash != std::string::npos)
            folder_ = top.substr(0, slash + 1);
    }

    void read(std::string_view text, const std::string& file, unsigned depth) {
        Place at{file, 0};
        std::uint32_t number = 0;
        std::string joined;
        while (!text.empty()) {
            ++number;
            auto line = without_comment(split(text, '\n'));
            if (joined.empty())
                at.line = number;
            const bool goes_on = strip_continuation(line);
            joined += line;
            if (goes_on && !text.empty())
                continue;
            add(at, without_escapes(joined), depth);
            joined.clear();
        }
    }

    std::vector<Line> done() { return std::move(lines_); }

  private:
    void mistake(const Place& at, std::string what) {
        constexpr std::size_t most_mistakes = 100;
        if (mistakes_.size() < most_mistakes)
            mistakes_.push_back({at.file, at.line, std::move(what)});
    }

    void add(const Place& at, const std::string& text, unsigned depth) {
        auto rest = std::string_view(text);
        skip_space(rest);
        constexpr std::size_t include = std::string_view("include").size();
        if (rest.size() > include && to_lower(rest.substr(0, include)) == "include" &&
            is_space(rest[include])) {
            rest.remove_prefix(include);
            return add_file(at, rest, depth);
        }
        add_pairs(at, rest);
    }

    void add_pairs(const Place& at, std::string_view rest) {
        Line line{at, {}};
        while (!rest.empty()) {
            auto pair = take_pair(rest);
            if (!pair)
                return mistake(
                    at, fmt::format("'{}' is no KEY=VALUE",
                                    escape(rest.substr(0, std::min(rest.size(), most_quoted)))));
            if (pair->key == "clustername" && !pair->value.empty())
                cluster_ = pair->value;
            line.pairs.push_back(std::move(*pair));
            skip_space(rest);
        }
        if (line.pairs.empty())
            return;
        if (lines_.size() == most_lines)
            return mistake(at, "too many lines");
        lines_.push_back(std::move(line));
    }

    // %c is the cluster's name, which must stand before.
    std::string path_of(std::string_view name) const {
        std::string path(name);
        for (auto at = path.find("%c"); at != std::string::npos; at = path.find("%c", at))
            path.replace(at, 2, to_lower(cluster_)), at += cluster_.size();
        return path.starts_with('/') ? path : folder_ + path;
    }

    void add_file(const Place& at, std::string_view name, unsigned depth) {
        skip_space(name);
        while (!name.empty() && is_space(name.back()))
            name.remove_suffix(1);
        if (name.find("%c") != std::string_view::npos && cluster_.empty())
            return mistake(at, "Include has %c, but no ClusterName stands before it");
        const auto path = path_of(name);
        if (depth == most_depth || files_ == most_files)
            return mistake(at,
                           fmt::format("Include {}: too many files include files", escape(path)));
        ++files_;
        const auto text = open_(path);
        if (!text)
            return mistake(at, fmt::format("Include {}: can't be read", escape(path)));
        bytes_ += text->size();
        if (bytes_ > most_bytes)
            return mistake(at, fmt::format("Include {}: more than {} MiB in all", escape(path),
                                           most_bytes >> 20));
        read(*text, path, depth + 1);
    }

    static constexpr std::size_t most_quoted = 60;

    const Open& open_;
    std::vector<Mistake>& mistakes_;
    std::string folder_;
    std::string cluster_;
    std::vector<Line> lines_;
    unsigned files_ = 1;
    std::size_t bytes_ = 0;
};

} // namespace

std::vector<Line> read_lines(std::string_view text, const std::string& file, const Open& open,
                             std::vector<Mistake>& mistakes) {
    LineReader reader(file, open, mistakes);
    reader.read(text, file, 0);
    return reader.done();
}

std::optional<PortRange> to_ports(std::string_view text) {
    const bool is_range = text.find('-') != std::string_view::npos;
    const auto first = number<Port>(split(text, '-'));
    const auto last = is_range ? number<Port>(text) : first;
    if (!first || !last || *first == 0 || *last < *first)
        return std::nullopt;
    return PortRange{*first, *last};
}

} // namespace ubf::slurm
