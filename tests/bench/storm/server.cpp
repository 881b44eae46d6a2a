#include "server.hpp"

#include "socket.hpp"

#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <vector>

namespace ubf::bench {
namespace {

void echo(const UniqueFd& fd) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::array<char, 64> buffer;
    while (true) {
        const auto length = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (length <= 0 || ::send(fd.get(), buffer.data(), static_cast<std::size_t>(length),
                                  MSG_NOSIGNAL) != length)
            return;
    }
}

void drain(const UniqueFd& fd) {
    std::vector<char> buffer(std::size_t{256} << 10);
    while (::recv(fd.get(), buffer.data(), buffer.size(), 0) > 0) {
    }
}

} // namespace

Then parse_then(std::string_view word) {
    if (word == "close")
        return Then::close;
    if (word == "keep")
        return Then::keep;
    if (word == "echo")
        return Then::echo;
    if (word == "drain")
        return Then::drain;
    throw std::invalid_argument(fmt::format("'{}' is neither close nor keep, echo or drain", word));
}

void serve_tcp(std::uint16_t port, Then then) {
    const auto server = open_server(SOCK_STREAM, port);
    say_ready();
    std::vector<UniqueFd> kept;
    while (true) {
        UniqueFd fd(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) {
            if (errno != ECONNABORTED && errno != EINTR)
                fail("accept");
        } else if (then == Then::keep) {
            kept.push_back(std::move(fd));
        } else if (then == Then::echo) {
            echo(fd);
        } else if (then == Then::drain) {
            drain(fd);
        }
    }
}

void serve_udp(std::uint16_t port) {
    const auto server = open_server(SOCK_DGRAM, port);
    say_ready();
    std::array<char, 64> buffer;
    while (true) {
        SocketAddress from;
        from.length = sizeof from.storage;
        const auto length =
            ::recvfrom(server.get(), buffer.data(), buffer.size(), 0, from.get(), &from.length);
        if (length >= 0) // if the answer can't be sent, the client runs into its timeout
            ::sendto(server.get(), buffer.data(), static_cast<std::size_t>(length), 0, from.get(),
                     from.length);
    }
}

} // namespace ubf::bench
