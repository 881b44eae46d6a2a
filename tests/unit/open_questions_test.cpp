#include "daemon/gate/open_questions.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <vector>

namespace ubf {
namespace {

using enum PeerTable::Standing;

constexpr unsigned room = OpenQuestions::room;
constexpr unsigned half = room / 2;

Address address(unsigned n) {
    return *Address::parse(fmt::format("10.0.{}.{}", n / 256, n % 256));
}

// Each number gives a different flow.
Flow flow(unsigned n) {
    return {Protocol::tcp,
            {address(n / 50'000), static_cast<Port>(10'000 + n % 50'000)},
            *Endpoint::parse("10.1.0.1:8888")};
}

struct OpenQuestionsTest : testing::Test {
    OpenQuestions questions;
    unsigned last = 0;
    std::vector<Flow> over;

    // Whether there was room; `last` is the number of the flow.
    bool begin_one(unsigned peer, PeerTable::Standing standing, Uid local = Uid{1}) {
        const auto begun = questions.begin(flow(++last), address(peer), standing, local);
        if (begun.gave_way)
            over.push_back(*begun.gave_way);
        return begun.has_room;
    }
    // How many of `count` questions find room.
    unsigned begin(unsigned peer, PeerTable::Standing standing, unsigned count) {
        unsigned begun = 0;
        for (unsigned i = 0; i < count; ++i)
            begun += begin_one(peer, standing) ? 1 : 0;
        return begun;
    }
    // Asks `count` questions and names this user in each at once. Returns how many stay open.
    unsigned begin_named(unsigned user, unsigned count) {
        unsigned open = 0;
        for (unsigned i = 0; i < count; ++i) {
            EXPECT_TRUE(begin_one(user, proven));
            if (const auto gave_way = questions.name(flow(last), Uid{user})) {
                over.push_back(*gave_way);
                open -= *gave_way == flow(last) ? 1 : 0;
            }
            ++open;
        }
        return open;
    }
};

TEST_F(OpenQuestionsTest, one_peer_leaves_room_for_others) {
    EXPECT_EQ(begin(1, proven, 5000), half);
    EXPECT_EQ(begin(2, proven, 5000), half);
    EXPECT_EQ(begin(3, proven, 1), 0u);
    EXPECT_TRUE(over.empty());
}

TEST_F(OpenQuestionsTest, flows_to_one_user_leave_room_for_flows_to_others_from_the_same_peer) {
    EXPECT_EQ(begin(1, proven, half), half);
    EXPECT_TRUE(begin_one(1, proven, Uid{2}));
    EXPECT_TRUE(begin_one(1, proven, Uid{3}));
    EXPECT_EQ(over, (std::vector{flow(half), flow(half - 1)}));
    EXPECT_FALSE(begin_one(1, proven));
    EXPECT_TRUE(begin_one(2, proven, Uid{2}));
    EXPECT_EQ(over.size(), 2u);
}

TEST_F(OpenQuestionsTest, ten_thousand_made_up_peers_take_nothing_from_those_that_are_proven) {
    for (unsigned peer = 0; peer < 10'000; ++peer)
        EXPECT_TRUE(begin_one(peer, peer % 2 == 0 ? silent : unknown));
    EXPECT_EQ(begin(20'000, proven, 5000), half);
    EXPECT_EQ(begin(20'001, proven, 5000), half);
}

TEST_F(OpenQuestionsTest, of_peers_that_are_not_proven_the_oldest_question_gives_way) {
    for (unsigned peer = 0; peer < half; ++peer)
        EXPECT_TRUE(begin_one(peer, unknown));
    EXPECT_TRUE(over.empty());
    EXPECT_TRUE(begin_one(5000, unknown));
    questions.end(flow(2)); // the peer answered
    EXPECT_TRUE(begin_one(5001, unknown));
    EXPECT_TRUE(begin_one(5002, silent));
    EXPECT_EQ(over, (std::vector{flow(1), flow(3)}));
}

TEST_F(OpenQuestionsTest, a_silent_peer_gets_little) {
    EXPECT_EQ(begin(1, silent, 1000), 64u);
    EXPECT_EQ(begin(2, unknown, 1000), 512u);
}

TEST_F(OpenQuestionsTest, what_is_over_makes_room) {
    EXPECT_EQ(begin(1, silent, 100), 64u);
    for (unsigned n = 1; n <= 64; ++n)
        questions.end(flow(n));
    EXPECT_EQ(begin(1, silent, 100), 64u);
    questions.end(flow(9999)); // which was not open
    EXPECT_EQ(begin(1, proven, 5000), half - 64u);
}

TEST_F(OpenQuestionsTest,
       a_question_counts_for_its_user_and_no_more_for_the_peer_that_has_said_so) {
    EXPECT_EQ(begin(1, proven, half), half);
    EXPECT_FALSE(begin_one(1, proven));
    EXPECT_EQ(questions.name(flow(1), Uid{7}), std::nullopt);
    EXPECT_TRUE(begin_one(1, proven));
    EXPECT_EQ(questions.name(flow(1), Uid{8}), std::nullopt); // a repeated answer
    questions.end(flow(1));
    questions.end(flow(1));
    EXPECT_FALSE(begin_one(1, proven));
}

TEST_F(OpenQuestionsTest, a_user_alone_may_have_all_the_room_and_no_more) {
    EXPECT_EQ(begin_named(1, room + 10), room);
    EXPECT_EQ(over.size(), 10u);
}

TEST_F(OpenQuestionsTest, who_has_most_gives_way_to_the_others_with_the_newest) {
    EXPECT_EQ(begin_named(1, room), room);
    EXPECT_EQ(begin_named(2, 3), 3u);
    EXPECT_EQ(over, (std::vector{flow(room), flow(room - 1), flow(room - 2)}));
    // The share bounds all users together as well.
    EXPECT_EQ(begin_named(2, room), half - 3);
    EXPECT_EQ(begin_named(3, room), room / 3);
    over.clear();
    EXPECT_EQ(begin_named(1, 1), 0u);
}

TEST_F(OpenQuestionsTest, the_same_user_of_an_unproven_peer_is_named_as_well) {
    EXPECT_TRUE(begin_one(1, unknown));
    EXPECT_EQ(questions.name(flow(1), Uid{7}), std::nullopt);
    for (unsigned peer = 0; peer < half + 10; ++peer)
        EXPECT_TRUE(begin_one(peer + 2, unknown));
    EXPECT_EQ(over.size(), 10u);
    EXPECT_EQ(std::ranges::count(over, flow(1)), 0);
}

} // namespace
} // namespace ubf
