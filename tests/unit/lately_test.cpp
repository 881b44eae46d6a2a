#include "base/lately.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using Facts = Lately<int, int>;

TEST(Lately, a_fact_is_good_for_a_second) {
    Facts facts;
    const TimePoint now{std::chrono::hours(1)};
    EXPECT_EQ(facts.find(1, now), nullptr);
    EXPECT_EQ(facts.put(1, 10, now), 10);
    ASSERT_NE(facts.find(1, now), nullptr);
    EXPECT_EQ(*facts.find(1, now + std::chrono::milliseconds(999)), 10);
    EXPECT_EQ(facts.find(1, now + Facts::lifetime), nullptr);
    facts.put(1, 11, now + Facts::lifetime);
    EXPECT_EQ(*facts.find(1, now + Facts::lifetime), 11);
    facts.put(2, 20, now, std::chrono::seconds(30));
    EXPECT_NE(facts.find(2, now + std::chrono::seconds(29)), nullptr);
    EXPECT_EQ(facts.find(2, now + std::chrono::seconds(30)), nullptr);
}

TEST(Lately, the_next_to_expire_gives_way) {
    Facts facts;
    const TimePoint now{std::chrono::hours(1)};
    const auto later = now + Facts::lifetime;
    for (int i = 0; i < static_cast<int>(Facts::most); ++i)
        facts.put(i, i, i % 2 == 0 ? now : later);
    facts.put(-1, -1, later);
    const auto known = [&] {
        int count = 0;
        for (int i = -2000; i < static_cast<int>(Facts::most); ++i)
            count += facts.find(i, later) == nullptr ? 0 : 1;
        return count;
    };
    EXPECT_EQ(known(), static_cast<int>(Facts::most) / 2 + 1);
    for (int i = 2; i < 2000; ++i)
        facts.put(-i, i, later);
    EXPECT_EQ(known(), static_cast<int>(Facts::most));
    EXPECT_NE(facts.find(-1999, later), nullptr);
}

} // namespace
} // namespace ubf
