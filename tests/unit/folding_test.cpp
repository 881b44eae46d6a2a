// The log gives some denials a line, and only counts the others.
#include "daemon/log/folding.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using std::chrono::seconds;
using Taken = Folding::Taken;

constexpr Uid alice{2001};
constexpr Uid bob{2002};
constexpr Uid carol{2003};
constexpr seconds within{10};

Denial denial(Owner connector, Port port, const char* from = "10.0.0.1", Owner listener = {}) {
    Denial result{
        {Protocol::tcp, {*Address::parse(from), 999}, {*Address::parse("10.0.0.2"), port}},
        Reason::different_user,
        std::move(connector),
        std::move(listener)};
    for (const auto* end : {&result.connector, &result.listener})
        if (!result.person && end->kind == OwnerKind::user)
            result.person = end->uid;
    return result;
}

struct FoldingTest : testing::Test {
    Folding folding{within};
    TimePoint now{seconds(1000)};

    Taken add(Denial each) { return folding.add(each, now); }
    // The number of these denials that got a line.
    unsigned lines(const Owner& connector, unsigned count, const char* from = "10.0.0.1") {
        unsigned result = 0;
        for (unsigned i = 0; i < count; ++i)
            if (add(denial(connector, static_cast<Port>(i), from)) == Taken::line)
                ++result;
        return result;
    }
    std::uint64_t count_of(const std::vector<Folding::Summary>& told) {
        std::uint64_t sum = 0;
        for (const auto& summary : told)
            sum += summary.count;
        return sum;
    }
};

TEST_F(FoldingTest, repeats_are_one_line_and_a_number) {
    EXPECT_EQ(add(denial(Owner::user(bob), 80)), Taken::line);
    auto other_port = denial(Owner::user(bob), 80);
    other_port.flow.source.port = 7;
    for (int i = 0; i < 99; ++i)
        EXPECT_EQ(add(other_port), Taken::repeat);
    EXPECT_TRUE(folding.due(now + within - seconds(1)).empty());
    const auto told = folding.due(now + within);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].count, 99u);
    EXPECT_EQ(told[0].last.flow.source.port, 7);
    EXPECT_FALSE(told[0].over);
    EXPECT_EQ(add(denial(Owner::user(bob), 80)), Taken::line);
}

TEST_F(FoldingTest, a_user_who_floods_takes_a_share_and_one_more_line) {
    EXPECT_EQ(lines(Owner::user(bob), 10'000), Folding::share);
    EXPECT_EQ(add(denial(Owner::user(carol), 80)), Taken::line);
    const auto told = folding.due(now + within);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(told[0].over);
    EXPECT_EQ(told[0].count, 10'000u - Folding::share);
    EXPECT_EQ(told[0].last.connector.uid, bob);
}

TEST_F(FoldingTest, many_who_flood_take_no_line_from_another) {
    for (unsigned user = 0; user < 900; ++user)
        EXPECT_GE(lines(Owner::user(Uid{10'000 + user}), 100), Folding::small_share);
    EXPECT_EQ(add(denial(Owner::user(carol), 80)), Taken::line);
}

TEST_F(FoldingTest, who_takes_on_many_users_takes_no_line_from_another_node) {
    for (unsigned user = 0; user < 65'536; ++user)
        add(denial(Owner::user(Uid{100'000 + user}), 80, "10.0.0.1"));
    EXPECT_EQ(add(denial(Owner::user(carol), 80, "10.0.0.3")), Taken::line);
}

// As many as the user database has not named yet, and all others by their person.
TEST_F(FoldingTest, who_takes_on_many_users_takes_no_line_from_another_on_the_node) {
    for (std::uint32_t number = 0; number < 65'536; ++number) {
        auto one = denial(Owner::user(Uid{100'000 + number}), 80);
        one.person = number % 2 == 0 ? std::optional(bob) : std::nullopt;
        add(one);
    }
    EXPECT_EQ(lines(Owner::user(carol), 1000), Folding::share);
}

TEST_F(FoldingTest, a_user_whom_the_database_names_in_between_gets_no_second_line) {
    auto one = denial(Owner::user(bob), 80);
    one.person.reset();
    EXPECT_EQ(add(one), Taken::line);
    EXPECT_EQ(add(denial(Owner::user(bob), 80)), Taken::repeat);
}

TEST_F(FoldingTest, a_peer_that_tells_of_many_refusals_takes_no_line_from_anybody) {
    unsigned got = 0;
    for (std::uint32_t number = 0; number < 20'000; ++number) {
        auto told = denial(Owner::user(Uid{2000 + number % 5000}), static_cast<Port>(number));
        told.told_by = Address::parse("10.0.0.9");
        if (add(told) == Taken::line)
            ++got;
    }
    EXPECT_LE(got, (Folding::most_doubtful + 1) * Folding::share);
    EXPECT_EQ(lines(Owner::user(carol), 1000), Folding::share);
    EXPECT_EQ(lines({}, 1000), Folding::share);
}

TEST_F(FoldingTest, who_takes_on_many_addresses_takes_no_line_from_a_user) {
    for (unsigned i = 0; i < 65'536; ++i)
        add(denial({}, 80, fmt::format("fd00::{:x}", i).c_str()));
    EXPECT_EQ(add(denial(Owner::user(carol), 80)), Taken::line);
}

TEST_F(FoldingTest, a_line_of_an_unknown_connector_is_charged_to_the_listener) {
    unsigned got = 0;
    for (unsigned i = 0; i < 1000; ++i)
        if (add(denial({}, 80, fmt::format("fd00::{:x}", i).c_str(), Owner::user(alice))) ==
            Taken::line)
            ++got;
    EXPECT_EQ(got, Folding::share);
    EXPECT_EQ(add(denial({}, 81, "10.0.0.1", Owner::user(carol))), Taken::line);
    EXPECT_EQ(add(denial(Owner::user(bob), 81, "10.0.0.1", Owner::user(alice))), Taken::line);
    EXPECT_EQ(add(denial(Owner::outside(), 82, "192.0.2.1", Owner::user(alice))), Taken::over);
}

TEST_F(FoldingTest, the_share_comes_back_and_nothing_stays) {
    for (int round = 0; round < 5; ++round) {
        EXPECT_EQ(lines(Owner::user(bob), 1000), Folding::share);
        now += within;
        EXPECT_EQ(count_of(folding.due(now)), 1000u - Folding::share);
    }
    EXPECT_TRUE(folding.due(now, true).empty());
}

TEST_F(FoldingTest, all_is_told_at_the_end) {
    lines(Owner::user(bob), 100);
    lines(Owner::user(bob), 1);
    EXPECT_EQ(count_of(folding.due(now, true)), 100u - Folding::share + 1);
    EXPECT_TRUE(folding.due(now + within, true).empty());
}

TEST_F(FoldingTest, a_scan_is_one_line_a_minute_and_user) {
    const auto scan = [](Uid uid, Port port, const char* from = "10.0.0.1") {
        auto result = denial(Owner::user(uid), port, from);
        result.reason = Reason::no_listener;
        result.tries = 20;
        return result;
    };
    EXPECT_EQ(add(scan(bob, 80)), Taken::line);
    EXPECT_EQ(add(scan(bob, 81, "10.0.0.3")), Taken::repeat);
    EXPECT_EQ(add(scan(carol, 80)), Taken::line);
    EXPECT_TRUE(folding.due(now + within).empty());
    const auto told = folding.due(now + Folding::scan_time);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].count, 20u);
    EXPECT_EQ(told[0].within, Folding::scan_time);
    // The scan's line takes nothing from the share.
    EXPECT_EQ(add(scan(bob, 80)), Taken::line);
    EXPECT_GE(lines(Owner::user(bob), 1000), Folding::share - 1);
    EXPECT_EQ(add(scan(carol, 80)), Taken::line);
}

} // namespace
} // namespace ubf
