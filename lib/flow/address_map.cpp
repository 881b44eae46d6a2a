#include "flow/address_map.hpp"

#include <algorithm>

namespace ubf {

bool AddressMap::add(const Prefix& from, const Prefix& to) {
    const bool alike = from.is_v4() == to.is_v4() && from.length() == to.length();
    const bool taken =
        std::ranges::any_of(ranges_, [&](const Pair& pair) { return pair.from.overlaps(from); });
    if (!alike || taken)
        return false;
    ranges_.push_back({from, to});
    return true;
}

Address AddressMap::operator()(const Address& address) const {
    const auto pair = std::ranges::find_if(
        ranges_, [&](const Pair& candidate) { return candidate.from.contains(address); });
    return pair == ranges_.end() ? address : pair->to.with_host_of(address);
}

} // namespace ubf
