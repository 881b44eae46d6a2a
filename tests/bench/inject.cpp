// Writes a packet into a TUN device again and again, as fast as the kernel takes it, to measure the
// cost of receiving it.
//
//   inject FD COUNT < PACKET    one JSON line: {"packets_per_second": ..., "cpu_ns": ...}
//
// FD: the inherited descriptor of a TUN device without packet information (IFF_NO_PI). A write
// returns when the packet has passed the whole receive path, firewall included (tun_get_user() in
// drivers/net/tun.c), so this measures nothing else. cpu_ns is the CPU time of a packet. On a busy
// machine, it is more reliable than the rate.
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <fmt/format.h>
#include <iostream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace {

int number(std::string_view text) {
    int result = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
    if (error != std::errc{} || end != text.data() + text.size() || result < 1)
        throw std::invalid_argument(fmt::format("'{}' is not a positive number", text));
    return result;
}

// The CPU time of this process, in the kernel and out of it.
std::chrono::nanoseconds cpu_time() {
    timespec now{};
    if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) < 0)
        throw std::system_error(errno, std::generic_category(), "clock_gettime");
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

} // namespace

int main(int argc, char** argv) try {
    if (argc != 3)
        throw std::invalid_argument("usage: inject FD COUNT < PACKET");
    const int device = number(argv[1]);
    const int count = number(argv[2]);
    std::array<std::uint8_t, 65536> packet{};
    const auto length = ::read(STDIN_FILENO, packet.data(), packet.size());
    if (length <= 0)
        throw std::invalid_argument("no packet on the standard input");
    const auto cpu_start = cpu_time();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) {
        if (::write(device, packet.data(), static_cast<std::size_t>(length)) != length)
            throw std::system_error(errno, std::generic_category(), "write");
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    const auto cpu = cpu_time() - cpu_start;
    std::cout << fmt::format("{{\"packets_per_second\": {:.0f}, \"cpu_ns\": {}}}\n",
                             count / taken.count(), cpu.count() / count);
} catch (const std::exception& error) {
    std::cerr << "inject: " << error.what() << '\n';
    return 1;
}
