// An MCS label with its origin. Labels of different origins are never equal: `slurm:physics` is not
// `map:physics`.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

enum class LabelOrigin : std::uint8_t { slurm, selinux, pkey, map, count_ };

std::string_view to_string(LabelOrigin origin);

// Users may choose some names, so every name is checked before use: 1 to 64 printable ASCII
// characters, without blanks, quotes and backslashes.
inline constexpr std::size_t max_label_name = 64;
bool is_label_name(std::string_view name);

struct Label {
    LabelOrigin origin;
    std::string name;

    auto operator<=>(const Label&) const = default;
};

// "slurm:physics"
std::string to_string(const Label& label);
// Reads the form that to_string() writes. Nothing if the origin or the name is invalid. SELinux
// categories may stand in any order, and a P_Key with or without its membership bit.
std::optional<Label> parse_label(std::string_view text);

// The partition of an InfiniBand P_Key (IBTA specification, volume 1, 10.9), full and limited
// members alike: "pkey:0x8001".
Label pkey_label(std::uint16_t pkey);

} // namespace ubf
