#include "established.hpp"

#include "times.hpp"

#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <iostream>
#include <optional>
#include <sys/time.h>
#include <thread>
#include <vector>

namespace ubf::bench {
namespace {

constexpr std::size_t datagram = 64; // bytes; their number matters, not their size

void set_patience(const UniqueFd& fd, std::chrono::milliseconds patience) {
    const timeval time{patience.count() / 1000, patience.count() % 1000 * 1000};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) < 0)
        fail("SO_RCVTIMEO");
}

double seconds(Clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

} // namespace

void ping(int type, const SocketAddress& to, std::size_t count) {
    const auto fd = open_client(type, to);
    set_patience(fd, std::chrono::seconds(10));
    Times times;
    char byte = '?';
    for (std::size_t i = 0; i <= count; ++i) {
        const auto begin = Clock::now();
        if (::send(fd.get(), &byte, 1, 0) != 1 || ::recv(fd.get(), &byte, 1, 0) != 1)
            fail("no echo");
        if (i > 0)
            times.add(Clock::now() - begin);
    }
    std::cout << fmt::format("{{\"count\":{},\"p50_us\":{:.2f},\"p99_us\":{:.2f}}}", times.size(),
                             times.quantile(0.50), times.quantile(0.99))
              << std::endl;
}

void pour(const SocketAddress& to, std::chrono::milliseconds duration) {
    const auto fd = open_client(SOCK_STREAM, to);
    const std::vector<char> block(std::size_t{256} << 10);
    double bytes = 0;
    const auto begin = Clock::now();
    while (Clock::now() - begin < duration) {
        const auto sent = ::send(fd.get(), block.data(), block.size(), MSG_NOSIGNAL);
        if (sent < 0)
            fail("send");
        bytes += static_cast<double>(sent);
    }
    char byte = 0;
    if (::shutdown(fd.get(), SHUT_WR) < 0 || ::recv(fd.get(), &byte, 1, 0) != 0)
        fail("the other end did not read everything");
    std::cout << fmt::format("{{\"bytes_per_second\":{:.0f}}}",
                             bytes / seconds(Clock::now() - begin))
              << std::endl;
}

void stream(const SocketAddress& to, std::chrono::milliseconds duration) {
    const auto fd = open_client(SOCK_DGRAM, to);
    const std::array<char, datagram> message{};
    const auto send = [&] { return ::send(fd.get(), message.data(), message.size(), 0) > 0; };
    if (!send())
        fail("send");
    std::this_thread::sleep_for(std::chrono::milliseconds(100)); // longer than any verdict
    std::size_t sent = 0;
    const auto begin = Clock::now();
    while (Clock::now() - begin < duration)
        sent += send() ? 1 : 0;
    std::cout << fmt::format("{{\"sent_per_second\":{:.0f}}}",
                             static_cast<double>(sent) / seconds(Clock::now() - begin))
              << std::endl;
}

void sink(std::uint16_t port) {
    const auto fd = open_server(SOCK_DGRAM, port);
    say_ready();
    std::array<char, datagram> buffer;
    const auto receive = [&] { return ::recv(fd.get(), buffer.data(), buffer.size(), 0) > 0; };
    set_patience(fd, std::chrono::seconds(10));
    if (!receive())
        fail("the first datagram");
    std::size_t received = 0;
    Clock::time_point first{};
    auto last = first;
    set_patience(fd, std::chrono::milliseconds(500)); // silence is the end
    while (receive()) {
        last = Clock::now();
        if (received++ == 0)
            first = last;
    }
    if (received < 2)
        fail("nothing came after the first datagram");
    std::cout << fmt::format("{{\"received\":{},\"per_second\":{:.0f}}}", received,
                             static_cast<double>(received - 1) / seconds(last - first))
              << std::endl;
}

} // namespace ubf::bench
