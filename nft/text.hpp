// The ruleset as text that a person reads and `nft -f` imports, once or again.
#pragma once

#include "nft/ruleset.hpp"

#include <string>

namespace ubf::nft {

std::string to_text(const Ruleset& ruleset);

} // namespace ubf::nft
