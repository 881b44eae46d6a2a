// Small value types, one for each kind of kernel number, so that they can't be mixed up.
#pragma once

#include <compare>
#include <cstdint>
#include <type_traits>

namespace ubf {

enum class Uid : std::uint32_t {}; // as the initial user namespace sees it
enum class Gid : std::uint32_t {};
enum class Pid : std::int32_t {};     // 0: not known
enum class Cookie : std::uint64_t {}; // a socket's cookie: never used twice while the node is up

using Port = std::uint16_t; // host byte order, everywhere but in a packet or a datagram

template<typename Id>
constexpr auto value(Id id) {
    return static_cast<std::underlying_type_t<Id>>(id);
}

// Both ends are part of the range.
template<typename T>
struct Range {
    T first;
    T last;

    constexpr bool contains(T x) const { return first <= x && x <= last; }
    constexpr bool overlaps(const Range& o) const { return first <= o.last && o.first <= last; }
    constexpr auto operator<=>(const Range&) const = default;
};

using PortRange = Range<Port>;
using UidRange = Range<Uid>;

} // namespace ubf
