#include "netlink/sock_diag.hpp"

#include "base/unique_fd.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace ubf {
namespace {

struct Listener {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    Endpoint place;

    Listener() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(fd.get(), generic, size) == 0 && ::listen(fd.get(), 1) == 0 &&
            ::getsockname(fd.get(), generic, &size) == 0)
            place = {*Address::parse("127.0.0.1"), ntohs(address.sin_port)};
    }
    Cookie cookie() const {
        std::uint64_t number = 0;
        socklen_t size = sizeof number;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &number, &size);
        return Cookie{number};
    }
};

const Endpoint anybody{*Address::parse("0.0.0.0"), 0};

// More look-ups than fit into one call; every second one finds no listener.
TEST(SockDiag, many_lookups_are_answered_each_in_its_place) {
    const std::vector<Listener> listeners(150);
    const auto nobodys = *Address::parse("127.9.9.9");
    std::vector<SocketQuery> queries;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        auto place = listeners[i].place;
        if (i % 2 == 1)
            place.address = nobodys;
        queries.push_back({Protocol::tcp, place, anybody, 0});
    }
    SockDiag diag;
    std::vector<SockDiag::Found> found(queries.size(), fail(int{0}));
    diag.find(queries, found);
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (i % 2 == 1) {
            EXPECT_EQ(found[i].error(), ENOENT) << i;
            continue;
        }
        ASSERT_TRUE(found[i]) << i;
        EXPECT_EQ(found[i]->cookie, listeners[i].cookie()) << i;
        EXPECT_EQ(found[i]->uid, Uid{::getuid()}) << i;
    }
}

TEST(SockDiag, none_is_answered_with_none_and_the_next_as_ever) {
    const Listener listener;
    SockDiag diag;
    diag.find({}, {});
    const auto found = diag.find({Protocol::tcp, listener.place, anybody, 0});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->cookie, listener.cookie());
}

} // namespace
} // namespace ubf
