#include "daemon/ident/told_flows.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <set>

namespace ubf::ident {
namespace {

constexpr Uid alice{2001};
constexpr Uid bob{2002};
const Path path{*Endpoint::parse("10.0.0.1:1017"), *Endpoint::parse("10.0.0.2:1017")};

Flow flow(unsigned n, Protocol protocol = Protocol::udp) {
    return {protocol,
            {*Address::parse(fmt::format("10.1.0.{}", n / 50'000)),
             static_cast<Port>(10'000 + n % 50'000)},
            *Endpoint::parse("10.0.0.2:8888")};
}

struct ToldFlowsTest : testing::Test {
    ToldFlows told;
    TimePoint now = Clock::now();
    std::set<Flow> there; // the flows that still have a socket

    ToldFlows::StillThere still_there = [this](const Flow& asked, const ToldFlows::Told&) {
        return there.contains(asked);
    };

    void add_labelled(Uid uid, unsigned first, unsigned count) {
        for (unsigned n = first; n < first + count; ++n) {
            there.insert(flow(n, Protocol::tcp));
            told.add_labelled(Cookie{n}, uid, flow(n, Protocol::tcp), path, 1, now);
        }
    }
    std::size_t forgotten(Uid uid, unsigned first, unsigned count) {
        std::size_t sum = 0;
        for (unsigned n = first; n < first + count; ++n)
            sum += told.add(Cookie{n}, uid, flow(n), path, 1);
        return sum;
    }
};

TEST_F(ToldFlowsTest, labels_are_forgotten_with_the_socket) {
    add_labelled(alice, 0, 1000);
    add_labelled(bob, 1000, 1000);
    for (unsigned n = 0; n < 2000; n += 2)
        there.erase(flow(n, Protocol::tcp));
    const auto last = now + ToldFlows::looked_at_every + std::chrono::seconds(20);
    while (now < last) {
        ASSERT_TRUE(told.next());
        now = std::max(*told.next(), now) + std::chrono::milliseconds(1);
        told.look_after(now, still_there);
    }
    EXPECT_EQ(told.labelled_flows(), 1000u);
    EXPECT_EQ(told.withdrawn(alice, now, still_there).size(), 500u);
    EXPECT_EQ(told.withdrawn(bob, now, still_there).size(), 500u);
    EXPECT_EQ(told.labelled_flows(), 0u);
    EXPECT_TRUE(told.labelled().empty());
}

TEST_F(ToldFlowsTest, a_look_takes_a_few_at_a_time) {
    add_labelled(alice, 0, 2000);
    unsigned looks = 0;
    now += ToldFlows::looked_at_every + std::chrono::seconds(1);
    told.look_after(now, [&](const Flow&, const ToldFlows::Told&) { return ++looks > 0; });
    EXPECT_EQ(looks, ToldFlows::most_at_once);
    told.look_after(now, [&](const Flow&, const ToldFlows::Told&) { return ++looks > 0; });
    EXPECT_EQ(looks, ToldFlows::most_at_once);
}

TEST_F(ToldFlowsTest, who_has_most_labels_told_gives_way) {
    add_labelled(bob, 0, 100);
    add_labelled(alice, 100, ToldFlows::most_labelled);
    EXPECT_EQ(told.labelled_flows(), ToldFlows::most_labelled);
    EXPECT_EQ(told.withdrawn(bob, now, still_there).size(), 100u);
    EXPECT_EQ(told.withdrawn(alice, now, still_there).size(), ToldFlows::most_labelled - 100);
}

TEST_F(ToldFlowsTest, who_has_most_sockets_told_gives_way) {
    EXPECT_EQ(forgotten(bob, 0, 100), 0u);
    EXPECT_EQ(forgotten(alice, 100, ToldFlows::most), 100u);
    EXPECT_EQ(told.sockets(), ToldFlows::most);
    EXPECT_EQ(told.gone(Cookie{0}, now).size(), 1u);
    EXPECT_EQ(told.gone(Cookie{100}, now).size(), 0u); // evicted: the oldest of hers
    EXPECT_EQ(forgotten(bob, 1, 1), 0u);               // told again
}

TEST_F(ToldFlowsTest, a_socket_that_is_gone_is_told_to_all_until_they_have_seen_it) {
    for (unsigned n = 0; n < 3; ++n)
        told.add(Cookie{7}, alice, flow(n), path, 1);
    told.add(Cookie{8}, alice, flow(3), path, 1);
    const auto notices = told.gone(Cookie{7}, now);
    ASSERT_EQ(notices.size(), 3u);
    EXPECT_EQ(told.sockets(), 1u);
    EXPECT_TRUE(told.due(now).empty());
    told.seen(notices[0].gone.nonce, path); // from ourselves, not from the peer that was told
    told.seen(notices[1].gone.nonce, path.reversed());
    unsigned again = 0;
    while (told.next()) {
        const auto due = told.due(*told.next());
        for (const auto& notice : due)
            EXPECT_NE(notice.gone.nonce, notices[1].gone.nonce);
        again += static_cast<unsigned>(due.size());
    }
    EXPECT_EQ(again, 2 * 5u);
}

TEST_F(ToldFlowsTest, notices_come_in_their_order_and_a_few_at_a_time) {
    for (unsigned n = 0; n < 1000; ++n)
        told.add(Cookie{n}, alice, flow(n), path, 1);
    for (unsigned n = 0; n < 1000; ++n)
        told.gone(Cookie{n}, now + std::chrono::microseconds(n));
    const auto first = told.next();
    ASSERT_TRUE(first);
    EXPECT_EQ(told.due(*first).size(), 1u);
    EXPECT_EQ(told.due(*first + std::chrono::seconds(1)).size(), ToldFlows::most_at_once);
    EXPECT_LT(*told.next(), *first + std::chrono::seconds(1)); // the rest is due as well
}

} // namespace
} // namespace ubf::ident
