#include "daemon/udp/departures.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using std::chrono::milliseconds;
constexpr TimePoint start{std::chrono::hours(1)};

TEST(Departures, hold_for_who_looked_before_them) {
    Departures<int> departures;
    departures.add(7, start);
    EXPECT_TRUE(departures.maybe_since(7, start));
    EXPECT_TRUE(departures.maybe_since(7, start - milliseconds(500)));
    EXPECT_FALSE(departures.maybe_since(7, start + milliseconds(1)));
    EXPECT_FALSE(departures.maybe_since(8, start - milliseconds(500)));
}

TEST(Departures, the_last_of_one_counts) {
    Departures<int> departures;
    departures.add(7, start);
    departures.add(7, start + milliseconds(100));
    EXPECT_TRUE(departures.maybe_since(7, start + milliseconds(50)));
}

TEST(Departures, are_forgotten_when_nobody_can_still_wait) {
    Departures<int> departures;
    departures.add(7, start);
    departures.add(8, start + std::chrono::seconds(3));
    EXPECT_FALSE(departures.maybe_since(7, start + milliseconds(1)));
    EXPECT_TRUE(departures.maybe_since(8, start + std::chrono::seconds(2)));
}

TEST(Departures, that_find_no_room_count_as_everybodys) {
    Departures<int> departures;
    for (int i = 0; i < 20'000; ++i)
        departures.add(i, start + std::chrono::microseconds(i));
    // The first few thousand were evicted, so no answer about that time is certain.
    EXPECT_TRUE(departures.maybe_since(-1, start));
    EXPECT_FALSE(departures.maybe_since(-1, start + milliseconds(20)));
    EXPECT_TRUE(departures.maybe_since(19'999, start + milliseconds(19)));
}

} // namespace
} // namespace ubf
