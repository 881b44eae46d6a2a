// The other end of every measurement.
#pragma once

#include <cstdint>
#include <string_view>

namespace ubf::bench {

// What becomes of a connection: it is closed at once, kept, everything that comes is sent back, or
// read and thrown away until its end. Of the last two one is served at a time.
enum class Then : std::uint8_t { close, keep, echo, drain };

// Throws std::invalid_argument.
Then parse_then(std::string_view word);

[[noreturn]] void serve_tcp(std::uint16_t port, Then then);
// Sends every datagram back.
[[noreturn]] void serve_udp(std::uint16_t port);

} // namespace ubf::bench
