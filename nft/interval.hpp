// Sets as the kernel keeps them: not as ranges, but as the beginning and end of each.
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

// Sorted. Adjacent intervals are merged, and an interval up to the last key has no end.
std::vector<Boundary> boundaries(const Set& set);

// The same form for the kernel's answer, whichever program filled the set. The nft program adds an
// end at zero for the gap before the first interval, and does not merge adjacent intervals.
std::vector<Boundary> tidied(std::vector<Boundary> boundaries);

} // namespace ubf::nft
