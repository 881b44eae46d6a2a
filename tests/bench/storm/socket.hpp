// The sockets of both ends of a measurement.
#pragma once

#include "base/unique_fd.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace ubf::bench {

using Clock = std::chrono::steady_clock;

// Throws the error of errno.
[[noreturn]] void fail(const char* what);

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// These throw std::invalid_argument if the text is invalid.
SocketAddress socket_address(const std::string& address, std::uint16_t port);
int socket_type(std::string_view protocol); // "tcp" or "udp"

// Blocking, and bound to the port; dual-stack.
UniqueFd open_server(int type, std::uint16_t port);
// Blocking, and connected; TCP with TCP_NODELAY.
UniqueFd open_client(int type, const SocketAddress& to);

// Closing the socket leaves no TIME_WAIT, so that a storm never runs out of ports.
void set_hard_close(const UniqueFd& fd);

// The process that started us waits for this line.
void say_ready();

} // namespace ubf::bench
