#include "label/label.hpp"

#include "base/text.hpp"
#include "label/selinux.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf {
namespace {

constexpr std::uint16_t full_member = 0x8000;

std::optional<Label> parse_pkey(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal)
        text.remove_prefix(2);
    const auto pkey = number<std::uint16_t>(text, hexadecimal ? 16 : 10);
    if (!pkey || (*pkey & ~full_member) == 0) // 0 is no partition
        return std::nullopt;
    return pkey_label(*pkey);
}

} // namespace

std::string_view to_string(LabelOrigin origin) {
    switch (origin) {
    case LabelOrigin::slurm:
        return "slurm";
    case LabelOrigin::selinux:
        return "selinux";
    case LabelOrigin::pkey:
        return "pkey";
    case LabelOrigin::map:
        return "map";
    case LabelOrigin::count_:
        break;
    }
    return "?";
}

bool is_label_name(std::string_view name) {
    return !name.empty() && name.size() <= max_label_name && std::ranges::all_of(name, [](char c) {
        return c > ' ' && c < '\x7f' && c != '"' && c != '\'' && c != '\\';
    });
}

Label pkey_label(std::uint16_t pkey) {
    return {LabelOrigin::pkey, fmt::format("0x{:04x}", pkey | full_member)};
}

std::string to_string(const Label& label) {
    return std::string(to_string(label.origin)) + ':' + label.name;
}

std::optional<Label> parse_label(std::string_view text) {
    for (const auto origin :
         {LabelOrigin::slurm, LabelOrigin::selinux, LabelOrigin::pkey, LabelOrigin::map}) {
        const auto prefix = std::string(to_string(origin)) + ':';
        if (!text.starts_with(prefix))
            continue;
        const auto name = text.substr(prefix.size());
        if (origin == LabelOrigin::selinux && name != "*") {
            const auto level =
                parse_level(name.starts_with('s') ? std::string(name) : "s0:" + std::string(name));
            return level && level->label() ? level->label() : std::nullopt;
        }
        if (origin == LabelOrigin::pkey && name != "*")
            return parse_pkey(name);
        if (!is_label_name(name))
            return std::nullopt;
        return Label{origin, std::string(name)};
    }
    return std::nullopt;
}

} // namespace ubf
