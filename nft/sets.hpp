// The sets of the table: what the configuration lists.
#pragma once

#include "nft/ruleset.hpp"

namespace ubf::nft {

// interfaces, peers4, peers6, ports, exempt_tcp and exempt_udp; all of them, filled or not.
std::vector<Set> make_sets(const Config& config, const Environment& environment);

} // namespace ubf::nft
