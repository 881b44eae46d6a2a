// Sets as the kernel keeps them: no ranges, but where each begins and where it is over.
#pragma once

#include "nft/ruleset.hpp"

#include <compare>
#include <vector>

namespace ubf::nft {

struct Boundary {
    Bytes key;
    bool end; // the first key behind the interval

    auto operator<=>(const Boundary&) const = default;
};

// Sorted; intervals that touch are one; what reaches the end of the key space has no end.
std::vector<Boundary> boundaries(const Set& set);

// The same for what the kernel answers, whoever filled the set: nft adds an end at zero to tell of
// the gap before the first interval, and leaves intervals that touch apart.
std::vector<Boundary> tidied(std::vector<Boundary> boundaries);

} // namespace ubf::nft
