#include "flow/packet.hpp"

#include "base/bytes.hpp"

#include <netinet/in.h>

namespace ubf {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct Payload {
    std::uint8_t protocol;
    Bytes bytes;
};

// TCP and UDP both begin with the two ports; the rest of the header must at least be there.
std::optional<Packet> parse_transport(Payload payload, Address source, Address destination) {
    const bool is_tcp = payload.protocol == IPPROTO_TCP;
    if (!is_tcp && payload.protocol != IPPROTO_UDP)
        return std::nullopt;
    if (payload.bytes.size() < (is_tcp ? 20 : 8))
        return std::nullopt;
    return Packet{{static_cast<Protocol>(payload.protocol),
                   {source, read16(payload.bytes, 0)},
                   {destination, read16(payload.bytes, 2)}},
                  is_tcp ? read32(payload.bytes, 4) : 0};
}

std::optional<Packet> parse_v4(Bytes packet) {
    constexpr std::size_t min_header = 20;
    if (packet.size() < min_header)
        return std::nullopt;
    const std::size_t header = std::size_t{4} * (packet[0] & 0x0fu);
    const std::size_t total = read16(packet, 2);
    const bool later_fragment = (read16(packet, 6) & 0x1fff) != 0;
    if (header < min_header || packet.size() < header || total < header || later_fragment)
        return std::nullopt;
    return parse_transport({packet[9], packet.subspan(header)},
                           Address::v4(packet.subspan<12, 4>()),
                           Address::v4(packet.subspan<16, 4>()));
}

// Walks the extension headers (RFC 8200, 4) to the transport header.
std::optional<Payload> skip_extensions(std::uint8_t next, Bytes rest) {
    // Each header is 8 bytes at least, so the copy range bounds the loop as well.
    while (true) {
        std::size_t length = 0;
        switch (next) {
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_DSTOPTS:
            if (rest.size() < 8)
                return std::nullopt;
            length = 8u + rest[1] * 8u;
            break;
        case IPPROTO_AH: // RFC 4302: counted in 4-byte words, minus two
            if (rest.size() < 8)
                return std::nullopt;
            length = std::size_t{4} * (rest[1] + 2u);
            break;
        case IPPROTO_FRAGMENT:
            if (rest.size() < 8 || (read16(rest, 2) & 0xfff8) != 0)
                return std::nullopt;
            length = 8;
            break;
        default:
            return Payload{next, rest};
        }
        if (rest.size() < length)
            return std::nullopt;
        next = rest[0];
        rest = rest.subspan(length);
    }
}

std::optional<Packet> parse_v6(Bytes packet) {
    constexpr std::size_t header = 40;
    if (packet.size() < header)
        return std::nullopt;
    const auto source = Address::v6(packet.subspan<8, 16>());
    const auto destination = Address::v6(packet.subspan<24, 16>());
    // ::ffff:a.b.c.d on the wire can only be an attempt to pose as the IPv4 address.
    if (source.is_v4() || destination.is_v4())
        return std::nullopt;
    const auto payload = skip_extensions(packet[6], packet.subspan(header));
    if (!payload)
        return std::nullopt;
    return parse_transport(*payload, source, destination);
}

} // namespace

std::optional<Packet> parse_packet(Bytes packet) {
    if (packet.empty())
        return std::nullopt;
    switch (packet[0] >> 4) {
    case 4:
        return parse_v4(packet);
    case 6:
        return parse_v6(packet);
    default:
        return std::nullopt;
    }
}

} // namespace ubf
