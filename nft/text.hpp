// The ruleset as text, for people and for `nft -f`, which may import it repeatedly.
#pragma once

#include "nft/ruleset.hpp"

#include <string>

namespace ubf::nft {

// For nft 1.0.6 and later. The queue is always nft's own, since no text that nft reads can name xt
// NFQUEUE. If the kernel has only xt NFQUEUE, ubfd must install the table itself.
std::string to_text(const Ruleset& ruleset);

} // namespace ubf::nft
