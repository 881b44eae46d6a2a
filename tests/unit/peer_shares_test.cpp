#include "daemon/core/peer_shares.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace ubf {
namespace {

Address peer(unsigned number) {
    return *Address::parse("10.0.0." + std::to_string(number));
}

TEST(PeerShares, a_peer_gets_no_more_than_its_share_and_gets_it_back) {
    PeerShares shares(100, 10);
    auto first = shares.take(peer(1), 6);
    EXPECT_TRUE(first);
    EXPECT_FALSE(shares.take(peer(1), 5));
    const auto second = shares.take(peer(1), 4);
    EXPECT_TRUE(second);
    EXPECT_FALSE(shares.take(peer(1), 1));
    EXPECT_TRUE(shares.take(peer(2), 10)); // and gives it back at once
    const auto copy = first;
    first.reset();
    EXPECT_FALSE(shares.take(peer(1), 1)); // the copy holds it
}

TEST(PeerShares, where_some_have_taken_all_others_have_room) {
    PeerShares shares(20, 10);
    std::vector<PeerShares::Room> taken{shares.take(peer(1), 9), shares.take(peer(2), 9)};
    EXPECT_FALSE(shares.take(peer(2), 3));
    for (unsigned number = 3; number < 5; ++number)
        taken.push_back(shares.take(peer(number), 10));
    EXPECT_TRUE(taken.back());
    EXPECT_FALSE(shares.take(peer(5), 10)); // but there is an end
    taken.clear();
    EXPECT_TRUE(shares.take(peer(5), 10));
}

} // namespace
} // namespace ubf
