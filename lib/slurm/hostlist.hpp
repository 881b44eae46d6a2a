// Slurm's lists of names, like "n[01-16,20],login", as `scontrol show hostnames` expands them.
#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace ubf::slurm {

// The most names of one list. Slurm itself refuses a range of more.
inline constexpr std::size_t most_names = 65536;

// The names in order, repeated ones too. The error says what is wrong with which part.
Result<std::vector<std::string>, std::string> expand(std::string_view list);

} // namespace ubf::slurm
