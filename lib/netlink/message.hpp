// Walks netlink messages and their attributes (linux/netlink.h), never past the end, whatever their
// lengths say. Buffers must be aligned for nlmsghdr, as the kernel fills them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <linux/netlink.h>
#include <span>

namespace ubf::netlink {

using Bytes = std::span<const std::uint8_t>;

// The first item of `rest`; nullptr if it is incomplete. Moves `rest` past the item.
template<typename Header, typename Length>
const Header* next(Bytes& rest, Length Header::*length) {
    constexpr std::size_t alignment = 4; // NLMSG_ALIGNTO, NLA_ALIGNTO
    if (rest.size() < sizeof(Header))
        return nullptr;
    const auto* header = reinterpret_cast<const Header*>(rest.data());
    const std::size_t size = header->*length;
    if (size < sizeof(Header) || size > rest.size())
        return nullptr;
    const std::size_t step = (size + alignment - 1) / alignment * alignment;
    rest = rest.subspan(step < rest.size() ? step : rest.size());
    return header;
}

inline const nlmsghdr* next_message(Bytes& rest) {
    return next(rest, &nlmsghdr::nlmsg_len);
}

inline const nlattr* next_attribute(Bytes& rest) {
    return next(rest, &nlattr::nla_len);
}

// The bytes after the header. `skip`: the size of a fixed header, which is left out with its
// padding. Empty if the message is shorter.
inline Bytes payload(const nlmsghdr* header, std::size_t skip = 0) {
    const Bytes whole{reinterpret_cast<const std::uint8_t*>(header), header->nlmsg_len};
    const std::size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(skip);
    return start <= whole.size() ? whole.subspan(start) : Bytes{};
}

inline Bytes payload(const nlattr* attribute) {
    return Bytes{reinterpret_cast<const std::uint8_t*>(attribute), attribute->nla_len}.subspan(
        sizeof(nlattr));
}

} // namespace ubf::netlink
