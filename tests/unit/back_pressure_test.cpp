#include "daemon/ident/back_pressure.hpp"

#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

using Kind = BackPressure::Kind;

void ask(BackPressure& pressure, Kind kind, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        pressure.asked(kind);
}

TEST(BackPressure, is_high_while_as_many_are_on_their_way_as_may_be) {
    for (const auto kind : {Kind::proven, Kind::others}) {
        BackPressure pressure;
        ask(pressure, kind, BackPressure::most - 1);
        EXPECT_FALSE(pressure.is_high());
        pressure.asked(kind);
        EXPECT_TRUE(pressure.is_high());
        pressure.answered(kind);
        EXPECT_FALSE(pressure.is_high());
    }
}

TEST(BackPressure, counts_all_kinds) {
    BackPressure pressure;
    ask(pressure, Kind::proven, BackPressure::most / 2);
    ask(pressure, Kind::others, BackPressure::most / 2);
    EXPECT_TRUE(pressure.is_high());
    pressure.dropped(Kind::others);
    EXPECT_FALSE(pressure.is_high());
}

// Forged peers delay others only until ubfd sees that they don't answer.
TEST(BackPressure, does_not_wait_for_peers_that_answer_nothing) {
    BackPressure pressure;
    ask(pressure, Kind::others, BackPressure::most);
    EXPECT_TRUE(pressure.is_high());
    for (std::size_t i = 0; i < BackPressure::most; ++i)
        pressure.unanswered(Kind::others);
    ask(pressure, Kind::others, 10 * BackPressure::most);
    EXPECT_FALSE(pressure.is_high());
    ask(pressure, Kind::proven, BackPressure::most);
    EXPECT_TRUE(pressure.is_high());
}

TEST(BackPressure, waits_for_them_again_once_they_answer) {
    BackPressure pressure;
    ask(pressure, Kind::others, 3 * BackPressure::most);
    for (std::size_t i = 0; i < BackPressure::most; ++i)
        pressure.unanswered(Kind::others);
    EXPECT_FALSE(pressure.is_high());
    for (std::size_t i = 0; i < BackPressure::most; ++i)
        pressure.answered(Kind::others);
    EXPECT_TRUE(pressure.is_high());
}

TEST(BackPressure, stands_the_loss_of_some_answers) {
    BackPressure pressure;
    for (std::size_t i = 0; i < 10 * BackPressure::most; ++i) {
        pressure.asked(Kind::proven);
        i % 4 == 0 ? pressure.unanswered(Kind::proven) : pressure.answered(Kind::proven);
    }
    ask(pressure, Kind::proven, BackPressure::most);
    EXPECT_TRUE(pressure.is_high());
}

} // namespace
} // namespace ubf::ident
