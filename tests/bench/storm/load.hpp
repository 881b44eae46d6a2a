// Loads that other programs put on a node.
#pragma once

#include "socket.hpp"

#include <chrono>
#include <cstddef>

namespace ubf::bench {

// Holds `count` established, idle connections.
[[noreturn]] void hold(const SocketAddress& to, std::size_t count);

// UDP from many ports, as fast as possible; prints one JSON line.
void flood(const SocketAddress& to, std::chrono::milliseconds duration);

} // namespace ubf::bench
