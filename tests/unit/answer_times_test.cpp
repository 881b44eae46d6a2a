#include "daemon/ident/answer_times.hpp"

#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

using std::chrono::milliseconds;

TEST(AnswerTimes, are_unknown_at_first) {
    EXPECT_EQ(AnswerTimes().pause(), AnswerTimes::unknown);
}

TEST(AnswerTimes, that_are_short_and_even_make_the_shortest_pause) {
    AnswerTimes times;
    for (int i = 0; i < 20; ++i)
        times.add(milliseconds(1));
    EXPECT_EQ(times.pause(), AnswerTimes::shortest);
}

// RFC 6298, section 2: the mean and four times the deviation.
TEST(AnswerTimes, are_smoothed_by_the_estimator_of_tcp) {
    AnswerTimes times;
    times.add(milliseconds(80));
    EXPECT_EQ(times.pause(), milliseconds(80 + 4 * 40));
    times.add(milliseconds(120));
    EXPECT_EQ(times.pause(), milliseconds(85 + 4 * 40));
}

TEST(AnswerTimes, that_grow_make_longer_pauses_than_they_are) {
    AnswerTimes times;
    for (int took = 1; took <= 90; ++took) {
        times.add(milliseconds(took));
        EXPECT_GT(times.pause(), milliseconds(took));
    }
}

TEST(AnswerTimes, however_long_leave_time_to_ask_again) {
    AnswerTimes times;
    for (int i = 0; i < 20; ++i)
        times.add(std::chrono::seconds(1));
    EXPECT_EQ(times.pause(), AnswerTimes::longest);
}

} // namespace
} // namespace ubf::ident
