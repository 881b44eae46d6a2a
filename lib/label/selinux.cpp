#include "label/selinux.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace ubf {
namespace {

constexpr std::uint32_t most_sensitivities = 1024;

// The number of "c7" for the letter c; nothing if it is too large.
std::optional<std::uint32_t> numbered(std::string_view text, std::string_view letter,
                                      std::uint32_t most) {
    const auto number = number_after<std::uint32_t>(letter, text);
    return number && *number < most ? number : std::nullopt;
}

std::string category(std::uint32_t number) {
    return 'c' + std::to_string(number);
}

// As the kernel writes them: three or more in a row as c4.c7.
std::string to_text(const std::vector<std::uint32_t>& categories) {
    std::string text;
    for (std::size_t i = 0; i < categories.size();) {
        std::size_t last = i;
        while (last + 1 < categories.size() && categories[last + 1] == categories[last] + 1)
            ++last;
        if (last < i + 2)
            last = i;
        if (!text.empty())
            text += ',';
        text += category(categories[i]);
        if (last > i)
            text += '.' + category(categories[last]);
        i = last + 1;
    }
    return text;
}

} // namespace

void sort_categories(std::vector<std::uint32_t>& categories) {
    std::ranges::sort(categories);
    categories.erase(std::unique(categories.begin(), categories.end()), categories.end());
}

std::optional<Label> SelinuxLevel::label() const {
    if (is_plain())
        return std::nullopt;
    std::string name;
    if (sensitivity > 0)
        name = 's' + std::to_string(sensitivity) + (categories.empty() ? "" : ":");
    name += to_text(categories);
    if (!is_label_name(name))
        return std::nullopt;
    return Label{LabelOrigin::selinux, std::move(name)};
}

std::optional<SelinuxLevel> parse_level(std::string_view text) {
    SelinuxLevel level;
    const bool has_categories = text.find(':') != std::string_view::npos;
    const auto sensitivity = numbered(split(text, ':'), "s", most_sensitivities);
    if (!sensitivity || (has_categories && text.empty()))
        return std::nullopt;
    level.sensitivity = *sensitivity;
    while (!text.empty()) {
        const bool more = text.find(',') != std::string_view::npos;
        auto part = split(text, ',');
        if (more && text.empty())
            return std::nullopt;
        const bool is_range = part.find('.') != std::string_view::npos;
        const auto first = numbered(split(part, '.'), "c", most_categories);
        const auto last = is_range ? numbered(part, "c", most_categories) : first;
        if (!first || !last || *first > *last)
            return std::nullopt;
        for (auto number = *first; number <= *last; ++number)
            level.categories.push_back(number);
    }
    sort_categories(level.categories);
    return level;
}

std::optional<SelinuxLevel> level_of_context(std::string_view context) {
    while (!context.empty() && (context.back() == '\0' || context.back() == '\n'))
        context.remove_suffix(1);
    for (int i = 0; i < 3; ++i) // user, role, type
        split(context, ':');
    if (context.empty())
        return SelinuxLevel{};
    return parse_level(split(context, '-'));
}

} // namespace ubf
