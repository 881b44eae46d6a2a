// SELinux levels as labels: the sensitivity and categories that a process works at now. This is the
// lower level of its range; the upper level is only its limit.
#pragma once

#include "label/label.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf {

inline constexpr std::uint32_t most_categories = 1024; // as policies have it

struct SelinuxLevel {
    std::uint32_t sensitivity = 0;
    std::vector<std::uint32_t> categories; // ascending, each once

    // selinux:c1,c2 or, at a sensitivity above s0, selinux:s1:c1,c2. Nothing for the plain level,
    // which everybody has, or if the name would be too long.
    std::optional<Label> label() const;
    bool is_plain() const { return sensitivity == 0 && categories.empty(); }
    bool operator==(const SelinuxLevel&) const = default;
};

// Sorts the categories and removes duplicates, as a level requires.
void sort_categories(std::vector<std::uint32_t>& categories);

// "s0:c1,c4.c7". Nothing if the text is no level.
std::optional<SelinuxLevel> parse_level(std::string_view text);

// The level of a context, as the kernel writes it to /proc/PID/attr/current (security/selinux/ss):
// user:role:type:level or user:role:type:low-high. A policy without levels, or no SELinux at all,
// gives the plain level. Nothing if the context can't be read.
std::optional<SelinuxLevel> level_of_context(std::string_view context);

} // namespace ubf
