// The ruleset as text that a person reads and `nft -f` imports, once or again.
#pragma once

#include "nft/ruleset.hpp"

#include <string>

namespace ubf::nft {

// For nft 1.0.6 and later. The queue is always nft's own: no text that nft reads back can name xt
// NFQUEUE, so where the kernel has only that, ubfd must install the table itself.
std::string to_text(const Ruleset& ruleset);

} // namespace ubf::nft
