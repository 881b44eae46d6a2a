// The lines of slurm.conf as key and value, with included files in their place.
#pragma once

#include "base/types.hpp"
#include "slurm/conf.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::slurm {

struct Place {
    std::string file;
    std::uint32_t line = 0; // the first one, if others continue it
};

struct Pair {
    std::string key; // in lower case
    std::string value;
};

struct Line {
    Place at;
    std::vector<Pair> pairs; // never empty
};

std::vector<Line> read_lines(std::string_view text, const std::string& file, const Open& open,
                             std::vector<Mistake>& mistakes);

// "6817" or "60001-63000"; neither 0 nor backwards.
std::optional<PortRange> to_ports(std::string_view text);

} // namespace ubf::slurm
