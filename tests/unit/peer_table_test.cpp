#include "daemon/ident/peer_table.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using Standing = PeerTable::Standing;
constexpr unsigned most = PeerTable::most;
constexpr TimePoint now{std::chrono::hours(24)};

Address address(unsigned n, const char* family = "v4") {
    return *Address::parse(family == std::string_view("v4")
                               ? fmt::format("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)
                               : fmt::format("fd00::{:x}:{:x}", n >> 16, n & 0xffff));
}

TEST(PeerTable, any_authenticated_datagram_proves_a_peer) {
    PeerTable peers;
    for (const char* family : {"v4", "v6"}) {
        peers.asked(address(1, family));
        EXPECT_EQ(peers.standing(address(1, family), now), Standing::unknown);
        peers.answered(address(1, family), std::chrono::milliseconds(1), {}, now);
        EXPECT_EQ(peers.standing(address(1, family), now), Standing::proven);
        peers.heard(address(2, family), now); // it was never asked
        EXPECT_EQ(peers.standing(address(2, family), now), Standing::proven);
    }
    EXPECT_EQ(peers.list().size(), 2u); // the peers that were asked
}

TEST(PeerTable, a_question_without_an_answer_unproves_it_until_it_is_heard) {
    PeerTable peers;
    peers.asked(address(1));
    peers.answered(address(1), std::chrono::milliseconds(1), {}, now);
    EXPECT_EQ(peers.timed_out(address(1), now, now), PeerTable::Say::silent);
    EXPECT_EQ(peers.standing(address(1), now), Standing::doubtful);
    EXPECT_TRUE(peers.heard(address(1), now));
    EXPECT_FALSE(peers.heard(address(1), now));
    EXPECT_EQ(peers.standing(address(1), now), Standing::proven);
}

TEST(PeerTable, made_up_peers_push_each_other_out_and_no_proven_one) {
    PeerTable peers;
    peers.heard(address(1), now);
    peers.asked(address(2));
    peers.answered(address(2), std::chrono::milliseconds(1), {}, now);
    for (unsigned n = 0; n < 3 * most; ++n)
        peers.asked(address(100'000 + n));
    EXPECT_EQ(peers.standing(address(1), now), Standing::proven);
    EXPECT_EQ(peers.standing(address(2), now), Standing::proven);
    EXPECT_EQ(peers.list().size(), most - 1); // the second one counts
    // A later peer is listed and proven all the same.
    peers.asked(address(3));
    peers.answered(address(3), std::chrono::milliseconds(1), {}, now);
    EXPECT_EQ(peers.standing(address(3), now), Standing::proven);
}

TEST(PeerTable, the_one_that_is_silent_for_longest_is_forgotten_first) {
    PeerTable peers;
    for (unsigned n = 0; n < most; ++n) {
        peers.asked(address(n));
        peers.timed_out(address(n), now, now);
        peers.timed_out(address(n), now, now);
    }
    peers.timed_out(address(0), now, now); // asked again, in vain: no longer the oldest
    peers.asked(address(most));
    EXPECT_EQ(peers.standing(address(0), now), Standing::silent);
    EXPECT_EQ(peers.standing(address(1), now), Standing::unknown);
    EXPECT_EQ(peers.standing(address(2), now), Standing::silent);
}

TEST(PeerTable, where_all_are_proven_a_proven_one_finds_room_and_another_does_not) {
    PeerTable peers;
    for (unsigned n = 0; n < most; ++n)
        peers.heard(address(n), now);
    peers.asked(address(most));
    EXPECT_TRUE(peers.list().empty());
    EXPECT_EQ(peers.timed_out(address(most), now, now), PeerTable::Say::nothing);
    EXPECT_EQ(peers.standing(address(0), now), Standing::proven);
    peers.heard(address(most), now);
    EXPECT_EQ(peers.standing(address(most), now), Standing::proven);
    EXPECT_EQ(peers.standing(address(0), now), Standing::unknown);
}

TEST(PeerTable, one_that_was_there_a_moment_ago_is_in_doubt_before_it_is_silent) {
    PeerTable peers;
    peers.heard(address(1), now);
    peers.timed_out(address(1), now, now);
    peers.timed_out(address(1), now, now);
    EXPECT_EQ(peers.standing(address(1), now), Standing::doubtful);
    EXPECT_EQ(peers.standing(address(1), now + PeerTable::patience + std::chrono::seconds(1)),
              Standing::silent);
    peers.asked(address(3));
    peers.timed_out(address(3), now, now);
    peers.timed_out(address(3), now, now);
    EXPECT_EQ(peers.standing(address(3), now), Standing::silent);
    peers.heard(address(3), now);
    EXPECT_EQ(peers.standing(address(3), now), Standing::proven);
}

TEST(PeerTable, one_is_silent_that_does_not_answer_twice_in_a_row) {
    PeerTable peers;
    const auto later = now + std::chrono::seconds(1);
    peers.asked(address(1));
    peers.timed_out(address(1), now - std::chrono::seconds(1), now);
    peers.timed_out(address(1), now - std::chrono::milliseconds(1), later); // was on its way then
    EXPECT_EQ(peers.standing(address(1), later), Standing::doubtful);
    peers.timed_out(address(1), now, later);
    EXPECT_EQ(peers.standing(address(1), later), Standing::silent);
    peers.heard(address(1), now);
    peers.timed_out(address(1), later, later);
    EXPECT_EQ(peers.standing(address(1), later + PeerTable::patience), Standing::doubtful);
}

TEST(PeerTable, who_comes_back_forgives_for_a_while) {
    PeerTable peers;
    peers.forgive_until(now + std::chrono::seconds(5));
    peers.asked(address(1));
    peers.timed_out(address(1), now, now);
    peers.timed_out(address(1), now, now);
    EXPECT_EQ(peers.standing(address(1), now), Standing::doubtful);
    EXPECT_EQ(peers.standing(address(1), now + std::chrono::seconds(5)), Standing::silent);
}

TEST(PeerTable, a_silent_one_is_tried_once_a_second) {
    PeerTable peers;
    peers.asked(address(1));
    peers.timed_out(address(1), now, now);
    EXPECT_TRUE(peers.may_try(address(1), now));
    EXPECT_FALSE(peers.may_try(address(1), now + std::chrono::milliseconds(999)));
    EXPECT_TRUE(peers.may_try(address(1), now + std::chrono::milliseconds(1000)));
}

} // namespace
} // namespace ubf
