#include "daemon/ident/pushed_owners.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <system_error>
#include <unistd.h>

namespace ubf::ident {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The peer is another loopback address, and speaks by our own socket.
std::vector<Socket> open_somewhere(Port& port) {
    for (port = static_cast<Port>(20'000 + ::getpid() % 10'000);; ++port)
        try {
            return Socket::open(port, 2);
        } catch (const std::system_error& error) {
            if (error.code() != std::errc::address_in_use)
                throw;
        }
}

struct PushedOwnersTest : testing::Test {
    const Address us = *Address::parse("127.0.0.1");
    const Address peer = *Address::parse("127.0.0.2");
    const Flow flow{Protocol::tcp, {peer, 40000}, {us, 8888}};
    static constexpr std::uint32_t sequence = 0x12345678;

    Port port = 0;
    std::vector<Socket> sockets = open_somewhere(port);
    Terms terms{port, seconds(30), {*Prefix::parse("127.0.0.0/8")}, {Key::random(), std::nullopt}};
    Counters counters;
    PeerTable peers;
    PushedOwners owners{sockets[1], peers, counters};
    Inbox inbox{};

    using Told = std::vector<std::pair<Flow, Uid>>;
    Told told;       // to the first waiter
    Told told_other; // to the second
    const PushedOwners::Waiter first = owners.add_waiter(into(told));
    const PushedOwners::Waiter second = owners.add_waiter(into(told_other));
    const TimePoint now = Clock::now();

    static PushedOwners::Tell into(Told& list) {
        return [&list](const Flow& each, Uid uid) { list.emplace_back(each, uid); };
    }

    void push(const Pushed& pushed, const Address& from) {
        const Path path{{from, port}, {us, port}};
        const Datagram datagram{Channel::pushes, Channel::service, wall_clock(),
                                std::vector<Pushed>{pushed}};
        std::array<std::uint8_t, max_datagram> buffer;
        std::size_t next = 0;
        ASSERT_EQ(
            sockets[0].send(path, 0, encode(buffer, datagram, next, path, terms.keys.current)), 0);
        pollfd waits{owners.fd(), POLLIN, 0};
        ASSERT_EQ(::poll(&waits, 1, 1000), 1);
        owners.receive(first, inbox, terms, into(told));
    }
    void push(const Pushed& pushed) { push(pushed, peer); }

    // Asked with the wish, and told of something: the next is waited for.
    void begin_to_tell() {
        EXPECT_FALSE(find(true).wait);
        push({flow, 1, Uid{1}});
    }
    PushedOwners::Found find(bool wish) { return owners.find(flow, sequence, first, wish, now); }
    std::uint64_t rejected(Rejection rejection) { return counters.rejections.read(rejection); }
};

TEST_F(PushedOwnersTest, who_was_never_asked_is_not_waited_for_and_not_believed) {
    push({flow, sequence, Uid{2001}});
    EXPECT_EQ(rejected(Rejection::unasked), 1u);
    EXPECT_FALSE(owners.any());
    const auto found = find(true);
    EXPECT_FALSE(found.uid);
    EXPECT_FALSE(found.wait);
}

TEST_F(PushedOwnersTest, what_came_before_the_packet_is_found_once) {
    begin_to_tell();
    push({flow, sequence, Uid{2001}});
    EXPECT_TRUE(owners.any());
    EXPECT_EQ(find(true).uid, Uid{2001});
    EXPECT_FALSE(find(true).uid);
    EXPECT_TRUE(told.empty());
}

TEST_F(PushedOwnersTest, what_comes_after_the_packet_is_told_to_who_waits) {
    begin_to_tell();
    EXPECT_TRUE(find(true).wait);
    push({flow, sequence, Uid{2001}});
    EXPECT_EQ(told, (Told{{flow, Uid{2001}}}));
    EXPECT_TRUE(told_other.empty());
    owners.give_up(flow); // too late
    EXPECT_EQ(counters.pushes_missed.read(), 0u);
}

TEST_F(PushedOwnersTest, another_worker_that_reads_it_tells_the_one_that_waits) {
    begin_to_tell();
    EXPECT_TRUE(owners.find(flow, sequence, second, true, now).wait);
    push({flow, sequence, Uid{2001}});
    EXPECT_EQ(told_other, (Told{{flow, Uid{2001}}}));
    EXPECT_TRUE(told.empty());
}

TEST_F(PushedOwnersTest, what_is_told_of_another_packet_is_for_nobody) {
    begin_to_tell();
    push({flow, sequence + 1, Uid{2001}});
    EXPECT_TRUE(find(true).wait); // and what was told is forgotten
    push({flow, sequence - 1, Uid{2001}});
    EXPECT_TRUE(told.empty());
    EXPECT_FALSE(find(true).uid);
}

TEST_F(PushedOwnersTest, what_a_peer_tells_of_anothers_flow_is_rejected) {
    begin_to_tell();
    EXPECT_TRUE(find(true).wait);
    push({flow, sequence, Uid{2001}}, *Address::parse("127.0.0.3"));
    EXPECT_EQ(rejected(Rejection::not_theirs), 1u);
    EXPECT_TRUE(told.empty());
}

TEST_F(PushedOwnersTest, what_nobody_took_is_soon_forgotten) {
    begin_to_tell();
    push({flow, sequence, Uid{2001}});
    EXPECT_FALSE(owners.find(flow, sequence, first, true, Clock::now() + milliseconds(1001)).uid);
}

TEST_F(PushedOwnersTest, a_peer_that_was_waited_for_in_vain_is_asked_until_it_tells) {
    begin_to_tell();
    EXPECT_TRUE(find(true).wait);
    owners.give_up(flow);
    EXPECT_EQ(counters.pushes_missed.read(), 1u);
    EXPECT_FALSE(find(true).wait);
    push({flow, sequence + 1, Uid{1}});
    EXPECT_TRUE(find(true).wait);
}

TEST_F(PushedOwnersTest, a_peer_is_asked_again_before_its_invitation_ends) {
    begin_to_tell();
    EXPECT_TRUE(owners.find(flow, sequence, first, true, now + seconds(29)).wait);
    EXPECT_FALSE(owners.find(flow, sequence, first, true, now + seconds(31)).wait);
    EXPECT_TRUE(owners.find(flow, sequence, first, true, now + seconds(32)).wait);
}

TEST_F(PushedOwnersTest, who_has_no_wish_waits_for_nobody) {
    begin_to_tell();
    EXPECT_FALSE(find(false).wait);
    EXPECT_FALSE(find(true).wait); // the peer was asked not to
}

TEST_F(PushedOwnersTest, a_flood_forgets_the_oldest) {
    begin_to_tell();
    push({flow, sequence, Uid{2001}});
    auto other = flow;
    for (Port number = 1; number <= 20'000; ++number) {
        other.source.port = number;
        push({other, 1, Uid{1}});
    }
    EXPECT_FALSE(find(true).uid);
    EXPECT_EQ(owners.find(other, 1, first, true, now).uid, Uid{1});
}

} // namespace
} // namespace ubf::ident
