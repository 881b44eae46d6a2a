// Reading the headers of a queued packet. Every byte is the sender's: nothing is trusted, nothing
// beyond the span is touched.
#pragma once

#include "flow/flow.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ubf {

struct Packet {
    Flow flow;
    std::uint32_t sequence = 0; // of TCP (RFC 9293)
};

// An IPv4 (RFC 791) or IPv6 (RFC 8200) packet with TCP or UDP in it, as it stands at the network
// header. Nothing for everything else: other protocols, later fragments, truncated headers, lengths
// that don't add up, IPv6 addresses that pose as IPv4 ones.
std::optional<Packet> parse_packet(std::span<const std::uint8_t> packet);

} // namespace ubf
