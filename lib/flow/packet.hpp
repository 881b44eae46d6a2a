// Reads the headers of a queued packet. The sender chose every byte: none is trusted, and nothing
// beyond the span is read.
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

// Parses an IPv4 (RFC 791) or IPv6 (RFC 8200) packet with TCP or UDP in it, from the network header
// on. Nothing for everything else: other protocols, later fragments, truncated headers,
// inconsistent lengths, v4-mapped IPv6 addresses.
std::optional<Packet> parse_packet(std::span<const std::uint8_t> packet);

} // namespace ubf
