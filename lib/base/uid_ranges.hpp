// Ranges of users, as the configuration lists them.
#pragma once

#include "base/types.hpp"

#include <algorithm>
#include <span>

namespace ubf {

inline bool contains(std::span<const UidRange> ranges, Uid uid) {
    return std::ranges::any_of(ranges, [&](const UidRange& range) { return range.contains(uid); });
}

} // namespace ubf
