// The watch names threads that stand still, and some of them keep the watchdog from being fed.
#include "daemon/core/thread_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

struct ThreadWatchTest : testing::Test {
    Heartbeat gate{"gate"};
    Heartbeat users{"users", "the user database"};
    ThreadWatch watch;
    TimePoint now = Clock::now();

    ThreadWatchTest() {
        watch.add(gate);
        watch.add(users);
        watch.look(now);
    }
    // Looks for `time` while these threads beat; returns the news.
    std::vector<ThreadWatch::News> pass(seconds time, std::initializer_list<Heartbeat*> alive) {
        std::vector<ThreadWatch::News> all;
        for (const auto end = now + time; now < end;) {
            now += milliseconds(500);
            for (auto* heartbeat : alive)
                heartbeat->beat(now);
            for (auto& news : watch.look(now))
                all.push_back(std::move(news));
        }
        return all;
    }
};

TEST_F(ThreadWatchTest, nothing_is_said_while_all_go_on) {
    EXPECT_TRUE(pass(seconds(60), {&gate, &users}).empty());
    EXPECT_TRUE(watch.all_vital_go_on());
    EXPECT_TRUE(watch.still(now).empty());
}

TEST_F(ThreadWatchTest, one_that_nothing_may_hold_up_ends_the_signs_and_is_named_once) {
    const auto news = pass(seconds(20), {&users});
    ASSERT_EQ(news.size(), 1u);
    EXPECT_TRUE(news[0].is_error);
    EXPECT_THAT(news[0].text, HasSubstr("thread gate has not run for 3 s"));
    EXPECT_FALSE(watch.all_vital_go_on());
    ASSERT_EQ(watch.still(now).size(), 1u);
    EXPECT_EQ(watch.still(now)[0].since, seconds(20));
    EXPECT_EQ(watch.stalls(), 1u);
    const auto later = pass(seconds(1), {&gate, &users});
    ASSERT_EQ(later.size(), 1u);
    EXPECT_THAT(later[0].text, HasSubstr("thread gate goes on, after 20 s"));
    EXPECT_TRUE(watch.all_vital_go_on());
}

TEST_F(ThreadWatchTest, one_that_may_wait_is_named_with_what_for_and_ends_nothing) {
    const auto news = pass(seconds(20), {&gate});
    ASSERT_EQ(news.size(), 1u);
    EXPECT_FALSE(news[0].is_error);
    EXPECT_THAT(news[0].text, HasSubstr("waits for the user database"));
    EXPECT_TRUE(watch.all_vital_go_on());
    EXPECT_EQ(watch.still(now).size(), 1u);
}

TEST_F(ThreadWatchTest, who_looks_late_was_held_up_like_the_others) {
    now += seconds(60);
    EXPECT_TRUE(watch.look(now).empty());
    EXPECT_TRUE(pass(seconds(10), {&gate, &users}).empty());
    EXPECT_EQ(watch.stalls(), 0u);
}

} // namespace
} // namespace ubf
