#include "socket.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <iostream>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <system_error>

namespace ubf::bench {

void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

SocketAddress socket_address(const std::string& address, std::uint16_t port) {
    SocketAddress result;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&result.storage, &v4, sizeof v4);
        result.length = sizeof v4;
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&result.storage, &v6, sizeof v6);
        result.length = sizeof v6;
    } else {
        throw std::invalid_argument(fmt::format("'{}' is not an address", address));
    }
    return result;
}

int socket_type(std::string_view protocol) {
    if (protocol == "tcp")
        return SOCK_STREAM;
    if (protocol == "udp")
        return SOCK_DGRAM;
    throw std::invalid_argument(fmt::format("'{}' is neither tcp nor udp", protocol));
}

UniqueFd open_server(int type, std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET6, type | SOCK_CLOEXEC, 0));
    if (!fd)
        fail("socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto any = socket_address("::", port);
    if (::bind(fd.get(), any.get(), any.length) < 0)
        fail("bind");
    if (type == SOCK_STREAM && ::listen(fd.get(), SOMAXCONN) < 0)
        fail("listen");
    return fd;
}

UniqueFd open_client(int type, const SocketAddress& to) {
    UniqueFd fd(::socket(to.storage.ss_family, type | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), to.get(), to.length) < 0)
        fail("connect");
    const int on = 1;
    if (type == SOCK_STREAM)
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void set_hard_close(const UniqueFd& fd) {
    const linger hard{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void say_ready() {
    std::cout << "ready" << std::endl;
}

} // namespace ubf::bench
