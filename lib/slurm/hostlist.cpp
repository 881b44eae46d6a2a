#include "slurm/hostlist.hpp"

#include "base/escape.hpp"
#include "base/text.hpp"
#include "slurm/space.hpp"

#include <cstdint>
#include <fmt/format.h>

namespace ubf::slurm {
namespace {

using Names = std::vector<std::string>;
using Expanded = Result<Names, std::string>;

constexpr std::size_t most_digits = 9;
constexpr std::size_t longest_name = 255; // of a host (RFC 1035, 2.3.4)

auto wrong(std::string_view part, std::string_view why) {
    return fail(fmt::format("'{}' {}", escape(part), why));
}

auto too_many(std::string_view list) {
    return wrong(list, fmt::format("has more than {} names", most_names));
}

// "01-16" or "7". The first number's length is the least of all.
Expanded expand_range(std::string_view range) {
    auto last_text = range;
    const auto first_text = split(last_text, '-');
    if (range.find('-') == std::string_view::npos)
        last_text = first_text;
    const auto first = number<std::uint32_t>(first_text);
    const auto last = number<std::uint32_t>(last_text);
    if (!first || !last || first_text.size() > most_digits || last_text.size() > most_digits)
        return wrong(range, "is no number and no range of numbers, like 01-16");
    if (*last < *first)
        return wrong(range, "ends before it begins");
    if (*last - *first >= most_names)
        return too_many(range);
    Names names;
    for (auto n = *first; n <= *last; ++n)
        names.push_back(fmt::format("{:0{}}", n, first_text.size()));
    return names;
}

Expanded expand_brackets(std::string_view inside) {
    Names all;
    while (true) {
        const bool is_last = inside.find(',') == std::string_view::npos;
        auto range = expand_range(split(inside, ','));
        if (!range)
            return range;
        all.insert(all.end(), range->begin(), range->end());
        if (all.size() > most_names)
            return too_many(inside);
        if (is_last)
            return all;
    }
}

// Each name so far, followed by each of these.
Expanded combine(const Names& before, const Names& after, std::string_view item) {
    if (before.size() * after.size() > most_names)
        return too_many(item);
    Names names;
    names.reserve(before.size() * after.size());
    for (const auto& head : before)
        for (const auto& tail : after) {
            if (head.size() + tail.size() > longest_name)
                return wrong(item, "has a name that is too long");
            names.push_back(head + tail);
        }
    return names;
}

// One item, without commas outside of brackets. Slurm takes nothing behind the last bracket.
Expanded expand_item(std::string_view item) {
    Names names{""};
    auto rest = item;
    while (!rest.empty()) {
        const auto open = rest.find('[');
        const bool is_tail = open == std::string_view::npos;
        const auto plain = rest.substr(0, open);
        if (plain.find(']') != std::string_view::npos)
            return wrong(item, "has a ']' without its '['");
        if (is_tail && plain.size() != item.size())
            return wrong(item, "goes on behind its last bracket, which Slurm does not take");
        auto combined = combine(names, {std::string(plain)}, item);
        if (!combined || is_tail)
            return combined;
        const auto close = rest.find(']', open);
        if (close == std::string_view::npos)
            return wrong(item, "has a '[' without its ']'");
        auto inside = expand_brackets(rest.substr(open + 1, close - open - 1));
        if (!inside)
            return inside;
        combined = combine(*combined, *inside, item);
        if (!combined)
            return combined;
        names = std::move(*combined);
        rest.remove_prefix(close + 1);
    }
    return names;
}

} // namespace

Expanded expand(std::string_view list) {
    Names all;
    std::size_t begin = 0;
    bool in_brackets = false;
    for (std::size_t i = 0; i <= list.size(); ++i) {
        const bool is_end = i == list.size();
        if (!is_end && list[i] == '[')
            in_brackets = true;
        else if (!is_end && list[i] == ']')
            in_brackets = false;
        if (!is_end && (in_brackets || (list[i] != ',' && !is_space(list[i]))))
            continue;
        const auto item = list.substr(begin, i - begin);
        begin = i + 1;
        if (item.empty())
            continue;
        auto names = expand_item(item);
        if (!names)
            return names;
        all.insert(all.end(), names->begin(), names->end());
        if (all.size() > most_names)
            return too_many(list);
    }
    return all;
}

} // namespace ubf::slurm
