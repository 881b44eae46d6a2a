// What a flow that is there already carries. Each prints one JSON line.
#pragma once

#include "socket.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ubf::bench {

// So many times a byte and its echo, one after the other. The first of a new flow is not counted.
void ping(int type, const SocketAddress& to, std::size_t count);

// As much as one TCP connection takes; the time ends when the other end has read everything.
void pour(const SocketAddress& to, std::chrono::milliseconds duration);

// Datagrams in one direction alone, as fast as they go: `stream` sends, `sink` says how many came.
// The first one goes ahead of the others, and the time begins after it.
void stream(const SocketAddress& to, std::chrono::milliseconds duration);
void sink(std::uint16_t port);

} // namespace ubf::bench
