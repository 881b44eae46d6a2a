#include "daemon/gate/arrivals.hpp"

#include "world.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using world::FakeQueue;

using std::chrono::milliseconds;

struct ArrivalsTest : testing::Test {
    FakeQueue queue;
    Arrivals arrivals;
    TimePoint now{std::chrono::hours(1)};
    std::uint32_t last = 0;

    void add(Protocol protocol, int count = 1) {
        for (; count > 0; --count) {
            Case item{};
            item.facts.flow.protocol = protocol;
            item.packets.first = QueuedPacket(queue, ++last, 0);
            arrivals.add(std::move(item));
        }
    }
    // The protocol and number of those whose turn it is.
    std::pair<Protocol, std::size_t> take() {
        const auto turn = arrivals.take(now);
        for (auto& item : turn)
            item.packets.judge(Reason::same_user);
        return {turn.empty() ? Protocol{} : turn.front().flow().protocol, turn.size()};
    }
};

TEST_F(ArrivalsTest, connections_go_before_datagrams_and_all_at_once) {
    add(Protocol::udp);
    add(Protocol::tcp, 100);
    EXPECT_EQ(take(), std::pair(Protocol::tcp, std::size_t{100}));
    EXPECT_EQ(take(), std::pair(Protocol::udp, std::size_t{1}));
    EXPECT_EQ(take().second, 0u);
    EXPECT_FALSE(arrivals.next());
}

TEST_F(ArrivalsTest, a_slow_list_is_followed_by_a_rest_as_long_in_which_connections_go_on) {
    add(Protocol::udp, 100);
    const auto at_once = take().second;
    EXPECT_LT(at_once, 100u);
    arrivals.listed(milliseconds(40), now);
    EXPECT_EQ(arrivals.next(), now + milliseconds(40));
    EXPECT_EQ(take().second, 0u);
    add(Protocol::tcp);
    EXPECT_EQ(take(), std::pair(Protocol::tcp, std::size_t{1}));
    now += milliseconds(40);
    EXPECT_EQ(take().second, 100 - at_once);
}

TEST_F(ArrivalsTest, a_brief_list_is_followed_by_the_next) {
    add(Protocol::udp, 100);
    const auto at_once = take().second;
    arrivals.listed(std::chrono::microseconds(999), now);
    EXPECT_EQ(take().second, 100 - at_once);
}

TEST_F(ArrivalsTest, datagrams_that_wait_are_bounded_and_dropped_in_the_end) {
    for (; !arrivals.is_full(); add(Protocol::udp))
        ASSERT_LT(last, 10'000u);
    EXPECT_TRUE(arrivals.any_wait());
    arrivals.drop_all();
    EXPECT_FALSE(arrivals.any_wait());
    EXPECT_EQ(queue.verdicts.size(), last);
    EXPECT_EQ(queue.verdicts.front(), Reason::overload);
}

struct WaitingPacketsTest : testing::Test {
    FakeQueue queue;
    WaitingPackets waiting{QueuedPacket(queue, 1, 0), 100};
};

// The port may be another user's by now.
TEST_F(WaitingPacketsTest, a_syn_of_another_socket_shares_no_verdict) {
    waiting.join(QueuedPacket(queue, 2, 0), 101);
    EXPECT_EQ(queue.verdicts, std::vector{Reason::overload});
    waiting.join(QueuedPacket(queue, 3, 0), 100); // sent again
    EXPECT_EQ(queue.verdicts.size(), 1u);
    waiting.judge(Reason::same_user);
    EXPECT_EQ(queue.verdicts,
              (std::vector{Reason::overload, Reason::same_user, Reason::same_user}));
}

} // namespace
} // namespace ubf
