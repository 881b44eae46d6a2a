// The three chains of the table, rule by rule.
#pragma once

#include "nft/ruleset.hpp"

namespace ubf::nft {

Chain scope_chain(const Config& config, const Environment& environment);
Chain gate_chain(const Config& config, const Environment& environment);
Chain verdict_chain(const Config& config);

} // namespace ubf::nft
