// An MCS label with its origin. Labels of different origins are never equal: `slurm:physics` says
// something else than `map:physics`.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace ubf {

enum class LabelOrigin : std::uint8_t { slurm = 1, selinux = 2, pkey = 3, map = 4 };

std::string_view to_string(LabelOrigin origin);

struct Label {
    LabelOrigin origin;
    std::string name;

    auto operator<=>(const Label&) const = default;
};

// "slurm:physics"
std::string to_string(const Label& label);

} // namespace ubf
