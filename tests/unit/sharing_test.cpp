#include "owner/sharing.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace ubf {
namespace {

constexpr std::uint32_t eth0 = 2;
constexpr std::uint32_t other_interface = 3;

Endpoint at(std::string_view address, Port port = 9001) {
    return {*Address::parse(address), port};
}

BoundSocket bound_to(std::string_view address) {
    BoundSocket socket;
    socket.local = at(address);
    socket.v6 = !socket.local.address.is_v4();
    return socket;
}

Flow flow_to(std::string_view source, std::string_view destination) {
    return {Protocol::udp, at(source, 9501), at(destination)};
}

const Flow v4 = flow_to("10.0.0.1", "10.0.0.2");
const Flow v6 = flow_to("fd00::1", "fd00::2");

TEST(Sharing, who_is_at_the_address_or_at_all_of_them_could_receive) {
    for (const auto* address : {"10.0.0.2", "0.0.0.0", "::"})
        EXPECT_TRUE(could_receive(bound_to(address), v4, eth0)) << address;
    for (const auto* address : {"10.0.0.3", "127.0.0.1", "fd00::2"})
        EXPECT_FALSE(could_receive(bound_to(address), v4, eth0)) << address;
    for (const auto* address : {"fd00::2", "::"})
        EXPECT_TRUE(could_receive(bound_to(address), v6, eth0)) << address;
    for (const auto* address : {"fd00::3", "::1", "0.0.0.0", "10.0.0.2"})
        EXPECT_FALSE(could_receive(bound_to(address), v6, eth0)) << address;
}

TEST(Sharing, a_socket_of_ipv6_gets_ipv4_unless_it_is_for_ipv6_only) {
    auto socket = bound_to("::");
    socket.v6_only = true;
    EXPECT_FALSE(could_receive(socket, v4, eth0));
    EXPECT_FALSE(could_send(socket, v4.reversed(), eth0));
    EXPECT_TRUE(could_receive(socket, v6, eth0));
    auto mapped = bound_to("10.0.0.2");
    mapped.v6 = true;
    EXPECT_TRUE(could_receive(mapped, v4, eth0));
    auto any_mapped = bound_to("0.0.0.0");
    any_mapped.v6 = true;
    EXPECT_TRUE(could_receive(any_mapped, v4, eth0));
    EXPECT_FALSE(could_receive(any_mapped, v6, eth0));
}

TEST(Sharing, a_socket_of_another_port_has_nothing_to_do_with_it) {
    auto socket = bound_to("0.0.0.0");
    socket.local.port = 9002;
    EXPECT_FALSE(could_receive(socket, v4, eth0));
    EXPECT_FALSE(could_send(socket, v4.reversed(), eth0));
}

TEST(Sharing, who_is_connected_hears_that_sender_alone) {
    auto socket = bound_to("10.0.0.2");
    for (const auto& remote : {at("10.0.0.1", 9501), at("0.0.0.0", 0), at("10.0.0.1", 0)}) {
        socket.remote = remote;
        EXPECT_TRUE(could_receive(socket, v4, eth0)) << to_string(remote);
    }
    for (const auto& remote : {at("10.0.0.1", 9502), at("10.0.0.9", 9501), at("10.0.0.9", 0)}) {
        socket.remote = remote;
        EXPECT_FALSE(could_receive(socket, v4, eth0)) << to_string(remote);
        EXPECT_TRUE(could_send(socket, v4.reversed(), eth0)); // by sendto()
    }
}

TEST(Sharing, a_socket_is_connected_to_one_sender_alone) {
    auto socket = bound_to("10.0.0.2");
    EXPECT_FALSE(is_connected_to(socket, v4.source));
    socket.remote = at("10.0.0.1", 0);
    EXPECT_FALSE(is_connected_to(socket, v4.source));
    socket.remote = v4.source;
    EXPECT_TRUE(is_connected_to(socket, v4.source));
}

TEST(Sharing, who_is_bound_to_an_interface_hears_that_alone) {
    auto socket = bound_to("0.0.0.0");
    socket.socket.interface = eth0;
    EXPECT_TRUE(could_receive(socket, v4, eth0));
    EXPECT_FALSE(could_receive(socket, v4, other_interface));
}

// As Linux 6.18 does it.
TEST(Sharing, who_is_bound_to_an_interface_sends_ipv4_by_any_and_ipv6_by_that_alone) {
    constexpr std::uint32_t lo = 1;
    auto socket = bound_to("::");
    for (const auto& [its, packets, sends] : {std::tuple{lo, eth0, false},
                                              {eth0, lo, false},
                                              {lo, lo, true},
                                              {eth0, eth0, true},
                                              {eth0, other_interface, true}}) {
        socket.socket.interface = its;
        EXPECT_TRUE(could_send(socket, v4.reversed(), packets));
        EXPECT_EQ(could_send(socket, v6.reversed(), packets), sends) << its << ' ' << packets;
    }
}

TEST(Sharing, whoever_has_the_port_at_any_address_could_send) {
    for (const auto* address : {"10.0.0.2", "127.0.0.1", "0.0.0.0", "::", "::1"})
        EXPECT_TRUE(could_send(bound_to(address), v4.reversed(), eth0)) << address;
    for (const auto* address : {"fd00::2", "::1", "::"})
        EXPECT_TRUE(could_send(bound_to(address), v6.reversed(), eth0)) << address;
    for (const auto* address : {"10.0.0.2", "0.0.0.0"})
        EXPECT_FALSE(could_send(bound_to(address), v6.reversed(), eth0)) << address;
}

// --- the kernel's list ---

struct Socket {
    UniqueFd fd;
    Port port = 0;

    Socket(int type, bool v6_only)
      : fd(::socket(AF_INET6, type | SOCK_CLOEXEC, 0)) {
        const int only = v6_only;
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        socklen_t size = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(fd.get(), generic, size) == 0 && ::getsockname(fd.get(), generic, &size) == 0)
            port = ntohs(address.sin6_port);
        if (type == SOCK_STREAM)
            ::listen(fd.get(), 1);
    }
    Cookie cookie() const {
        std::uint64_t number = 0;
        socklen_t size = sizeof number;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &number, &size);
        return Cookie{number};
    }
};

// Asks for one port, for a few, and for more than fit into one dump.
TEST(SocketList, has_the_sockets_of_all_ports_that_are_asked_for_and_no_others) {
    for (const auto& [protocol, type] :
         {std::pair{Protocol::udp, SOCK_DGRAM}, std::pair{Protocol::tcp, SOCK_STREAM}}) {
        std::vector<Socket> sockets;
        for (int i = 0; i < 200; ++i)
            sockets.emplace_back(type, i % 2 == 1);
        SockDiag diag;
        for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{3},
                                        std::size_t{64}, std::size_t{65}, std::size_t{130}}) {
            std::vector<Port> ports;
            for (std::size_t i = 0; i < count; ++i)
                ports.push_back(sockets[i].port);
            std::vector<BoundSocket> found;
            ASSERT_EQ(diag.list(protocol, true, ports, found), 0);
            ASSERT_EQ(found.size(), count);
            for (std::size_t i = 0; i < count; ++i) {
                const auto one = std::ranges::find_if(found, [&](const BoundSocket& bound) {
                    return bound.socket.cookie == sockets[i].cookie();
                });
                ASSERT_NE(one, found.end()) << i;
                EXPECT_EQ(one->local, (Endpoint{Address{}, sockets[i].port}));
                EXPECT_EQ(one->socket.uid, Uid{::geteuid()});
                EXPECT_EQ(one->v6_only, i % 2 == 1);
                EXPECT_TRUE(one->v6);
            }
            found.clear();
            ASSERT_EQ(diag.list(protocol, false, ports, found), 0);
            EXPECT_TRUE(found.empty()); // these sockets are of IPv6
        }
    }
}

TEST(SocketList, that_is_too_long_is_cut_short_and_the_next_is_right) {
    std::vector<UniqueFd> sockets;
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    for (std::size_t i = 0; i <= SockDiag::most_listed; ++i) {
        sockets.emplace_back(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        const int on = 1;
        ::setsockopt(sockets.back().get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (::bind(sockets.back().get(), generic, size) < 0)
            GTEST_SKIP() << "this process may not have enough sockets";
        ASSERT_EQ(::getsockname(sockets.back().get(), generic, &size), 0);
    }
    SockDiag diag;
    const Port port = ntohs(address.sin6_port);
    std::vector<BoundSocket> found;
    EXPECT_EQ(diag.list(Protocol::udp, true, {&port, 1}, found), EMFILE);
    sockets.pop_back();
    found.clear();
    EXPECT_EQ(diag.list(Protocol::udp, true, {&port, 1}, found), 0);
    EXPECT_EQ(found.size(), SockDiag::most_listed);
}

} // namespace
} // namespace ubf
