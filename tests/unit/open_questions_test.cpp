#include "daemon/gate/open_questions.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using enum PeerTable::Standing;

Address address(unsigned n) {
    return *Address::parse(fmt::format("10.0.{}.{}", n / 256, n % 256));
}

// How many of so many questions find room.
unsigned begin(OpenQuestions& questions, unsigned peer, PeerTable::Standing standing,
               unsigned count) {
    unsigned begun = 0;
    for (unsigned i = 0; i < count; ++i)
        begun += questions.begin(address(peer), standing) ? 1 : 0;
    return begun;
}

TEST(OpenQuestions, one_peer_leaves_room_for_others) {
    OpenQuestions questions;
    EXPECT_EQ(begin(questions, 1, answers, 5000), 2048u);
    EXPECT_EQ(begin(questions, 2, answers, 5000), 2048u);
    EXPECT_EQ(begin(questions, 3, answers, 1), 0u);
}

TEST(OpenQuestions, ten_thousand_silent_peers_leave_half_to_those_that_answer) {
    OpenQuestions questions;
    unsigned begun = 0;
    for (unsigned peer = 0; peer < 10'000; ++peer)
        begun += begin(questions, peer, peer % 2 == 0 ? silent : unknown, 1);
    EXPECT_EQ(begun, 2048u);
    EXPECT_EQ(begin(questions, 20'000, answers, 5000), 2048u);
}

TEST(OpenQuestions, a_silent_peer_gets_little) {
    OpenQuestions questions;
    EXPECT_EQ(begin(questions, 1, silent, 1000), 64u);
    EXPECT_EQ(begin(questions, 2, unknown, 1000), 512u);
}

TEST(OpenQuestions, what_is_over_makes_room) {
    OpenQuestions questions;
    EXPECT_EQ(begin(questions, 1, silent, 100), 64u);
    for (int i = 0; i < 64; ++i)
        questions.end(address(1));
    EXPECT_EQ(begin(questions, 1, silent, 100), 64u);
    questions.end(address(9)); // of which none was open
    EXPECT_EQ(begin(questions, 1, answers, 5000), 2048u - 64u);
}

} // namespace
} // namespace ubf
