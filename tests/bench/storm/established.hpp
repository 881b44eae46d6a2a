// The load on established flows. Each function prints one JSON line.
#pragma once

#include "socket.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ubf::bench {

// Sends a byte and waits for its echo, `count` times. A new flow's first round trip is not counted.
void ping(int type, const SocketAddress& to, std::size_t count);

// Sends as much as one TCP connection takes. The time ends when the other end has read everything.
void pour(const SocketAddress& to, std::chrono::milliseconds duration);

// Datagrams in one direction, as fast as possible: `stream` sends, and `sink` prints how many
// arrived. The first datagram goes ahead, and the time begins after it.
void stream(const SocketAddress& to, std::chrono::milliseconds duration);
void sink(std::uint16_t port);

} // namespace ubf::bench
