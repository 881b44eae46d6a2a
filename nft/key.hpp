// The keys of the sets: the only place that knows the order, types and sizes of their parts.
#pragma once

#include "nft/ruleset.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace ubf::nft {

// A type of nft's, with the byte order that nft assumes. The kernel only stores both, so that `nft
// list` can print the elements (nft's include/datatype.h).
template<typename Name>
struct NftType {
    Name name;
    std::uint32_t number;
    std::uint32_t length;
    std::uint32_t byte_order;
};
using Part = NftType<std::string_view>;
using KeyType = NftType<std::string>;

namespace part {
inline constexpr std::uint32_t host_order = 1;
inline constexpr std::uint32_t network_order = 2;
inline constexpr Part ipv4_address{"ipv4_addr", 7, 4, network_order};
inline constexpr Part ipv6_address{"ipv6_addr", 8, 16, network_order};
inline constexpr Part protocol{"inet_proto", 12, 1, network_order};
inline constexpr Part port{"inet_service", 13, 2, network_order};
inline constexpr Part interface_index{"iface_index", 20, 4, host_order};
inline constexpr Part priority{"classid", 23, 4, host_order};
inline constexpr Part user{"uid", 24, 4, host_order};
inline constexpr Part interface_name{"ifname", 41, 16, host_order};

constexpr const Part& address(bool v4) {
    return v4 ? ipv4_address : ipv6_address;
}
} // namespace part

template<typename To = Bytes>
To network(Port port) {
    return {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port & 0xff)};
}

// A key of several parts pads each to whole registers of four bytes.
constexpr std::size_t padded(std::size_t length) {
    return (length + 3) / 4 * 4;
}

constexpr std::size_t place_size(bool v4) {
    return padded(part::address(v4).length) + padded(part::port.length);
}
inline constexpr std::size_t largest_key = 2 * place_size(false); // a flow's

// The functions below order the parts. A Key appends each part in a form of its own: as
// bytes, as instructions or as a type. An End is an end of the flow, as that Key knows it.
template<typename Key, typename End>
Key place_key(Key key, const End& end) {
    key.address(end).port(end);
    return key;
}

template<typename Key, typename End>
Key flow_key(Key key, const End& source, const End& destination) {
    return place_key(place_key(std::move(key), source), destination);
}

template<typename Key, typename End, typename... User>
Key held_place_key(Key key, const End& end, User... user) {
    return std::move(place_key(std::move(key), end).user(user...));
}

template<typename Key, typename End, typename... Interface>
Key listener_key(Key key, const End& end, Interface... interface) {
    return place_key(std::move(key.interface(interface...)), end);
}

constexpr bool is_v4(SetType type) {
    using enum SetType;
    return type == ipv4 || type == flow4 || type == listener4 || type == place4 ||
           type == held_place4;
}

KeyType key_type(SetType type);

} // namespace ubf::nft
