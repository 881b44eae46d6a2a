// The other end of every measurement.
#pragma once

#include <cstdint>
#include <string_view>

namespace ubf::bench {

// The treatment of a connection: close it at once, keep it, echo its data, or read and discard them
// until its end. For echo and drain, one connection is served at a time.
enum class Then : std::uint8_t { close, keep, echo, drain };

// Throws std::invalid_argument.
Then parse_then(std::string_view word);

[[noreturn]] void serve_tcp(std::uint16_t port, Then then);
// Echoes every datagram.
[[noreturn]] void serve_udp(std::uint16_t port);

} // namespace ubf::bench
