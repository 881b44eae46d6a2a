#include "nft/interval.hpp"

#include <algorithm>
#include <optional>
#include <set>

namespace ubf::nft {
namespace {

// The next number; nothing after the last.
std::optional<Bytes> successor(Bytes bytes) {
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
        if (++*byte != 0)
            return bytes;
    return std::nullopt;
}

} // namespace

std::vector<Boundary> boundaries(const Set& set) {
    std::vector<Boundary> all;
    for (const auto& element : set.elements) {
        all.push_back({element.first, false});
        if (!set.is_interval())
            continue;
        if (auto end = successor(element.last))
            all.push_back({std::move(*end), true});
    }
    return tidied(std::move(all));
}

std::vector<Boundary> tidied(std::vector<Boundary> boundaries) {
    std::set<Bytes> begins;
    std::set<Bytes> ends;
    for (const auto& boundary : boundaries)
        (boundary.end ? ends : begins).insert(boundary.key);
    std::erase_if(boundaries, [&](const Boundary& boundary) {
        const bool at_zero =
            std::ranges::all_of(boundary.key, [](std::uint8_t byte) { return byte == 0; });
        const bool touching = begins.contains(boundary.key) && ends.contains(boundary.key);
        return at_zero ? boundary.end : touching;
    });
    std::ranges::sort(boundaries);
    return boundaries;
}

} // namespace ubf::nft
