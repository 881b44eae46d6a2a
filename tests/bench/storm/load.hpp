// What others do to a node meanwhile.
#pragma once

#include "socket.hpp"

#include <chrono>
#include <cstddef>

namespace ubf::bench {

// So many connections, established and idle.
[[noreturn]] void hold(const SocketAddress& to, std::size_t count);

// UDP from many ports, as fast as it goes; one JSON line.
void flood(const SocketAddress& to, std::chrono::milliseconds duration);

} // namespace ubf::bench
