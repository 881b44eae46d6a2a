#include "load.hpp"

#include <array>
#include <fmt/format.h>
#include <iostream>
#include <vector>

namespace ubf::bench {

void hold(const SocketAddress& to, std::size_t count) {
    std::vector<UniqueFd> held;
    while (held.size() < count) {
        held.push_back(open_client(SOCK_STREAM, to));
        set_hard_close(held.back());
    }
    say_ready();
    while (true)
        ::pause();
}

// A refusal makes a later send() fail, which doesn't matter.
void flood(const SocketAddress& to, std::chrono::milliseconds duration) {
    constexpr std::size_t sockets = 64;
    constexpr std::size_t burst = 16;
    std::vector<UniqueFd> sources;
    for (std::size_t i = 0; i < sockets; ++i) {
        sources.emplace_back(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!sources.back())
            fail("socket");
    }
    char byte = 'x';
    iovec part{&byte, 1};
    std::array<mmsghdr, burst> messages{};
    auto address = to;
    for (auto& message : messages) {
        message.msg_hdr.msg_name = address.get();
        message.msg_hdr.msg_namelen = to.length;
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
    }
    std::size_t sent = 0;
    const auto end = Clock::now() + duration;
    while (Clock::now() < end)
        for (const auto& source : sources)
            if (const int now = ::sendmmsg(source.get(), messages.data(), burst, MSG_DONTWAIT);
                now > 0)
                sent += static_cast<std::size_t>(now);
    std::cout << fmt::format("{{\"sent\":{}}}", sent) << std::endl;
}

} // namespace ubf::bench
