#include "daemon/owners/turns.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace ubf {
namespace {

constexpr Uid alice{1}, bob{2}, carol{3};

std::vector<int> taken(Turns<int>& turns) {
    std::vector<int> jobs;
    while (turns.ready()) {
        const auto [user, job] = turns.take();
        jobs.push_back(job);
        turns.done(user);
    }
    return jobs;
}

TEST(Turns, go_round_among_users_and_are_in_order_for_each) {
    Turns<int> turns({100, 100, 3});
    for (const int job : {11, 12, 13})
        turns.add(alice, job);
    turns.add(bob, 21);
    turns.add(carol, 31);
    EXPECT_EQ(taken(turns), (std::vector{11, 21, 31, 12, 13}));
}

TEST(Turns, of_one_user_never_take_all_threads) {
    Turns<int> turns({100, 100, 3});
    for (const int job : {11, 12, 13, 14})
        turns.add(alice, job);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(turns.take().first, alice);
    EXPECT_FALSE(turns.ready());
    turns.add(bob, 21);
    ASSERT_TRUE(turns.ready());
    EXPECT_EQ(turns.take().second, 21);
    EXPECT_FALSE(turns.ready());
    turns.done(alice);
    ASSERT_TRUE(turns.ready());
    EXPECT_EQ(turns.take().second, 14);
}

TEST(Turns, of_a_user_with_none_under_way_come_first) {
    Turns<int> turns({100, 100, 3});
    for (const int job : {11, 12})
        turns.add(alice, job);
    EXPECT_EQ(turns.take().second, 11);
    turns.add(bob, 21);
    EXPECT_EQ(turns.take().second, 21);
    EXPECT_EQ(turns.take().second, 12);
}

TEST(Turns, of_one_user_have_a_limit) {
    Turns<int> turns({100, 2, 3});
    EXPECT_TRUE(turns.add(alice, 11).taken);
    EXPECT_TRUE(turns.add(alice, 12).taken);
    EXPECT_FALSE(turns.add(alice, 13).taken);
    EXPECT_TRUE(turns.add(bob, 21).taken);
}

TEST(Turns, give_way_to_a_user_with_two_fewer_and_to_nobody_else) {
    Turns<int> turns({3, 3, 3});
    for (const int job : {11, 12, 13})
        turns.add(alice, job);
    const auto added = turns.add(bob, 21);
    EXPECT_TRUE(added.taken);
    EXPECT_EQ(added.gave_way, 13); // the newest
    const auto again = turns.add(bob, 22);
    EXPECT_FALSE(again.taken); // alice has one more than bob
    EXPECT_FALSE(again.gave_way);
    EXPECT_EQ(taken(turns), (std::vector{11, 21, 12}));
}

TEST(Turns, are_as_new_when_cleared) {
    Turns<int> turns({1, 1, 1});
    turns.add(alice, 11);
    turns.take();
    turns.add(bob, 21);
    turns.clear();
    turns.done(alice);
    EXPECT_FALSE(turns.ready());
    EXPECT_TRUE(turns.add(carol, 31).taken);
    EXPECT_EQ(taken(turns), std::vector{31});
}

} // namespace
} // namespace ubf
