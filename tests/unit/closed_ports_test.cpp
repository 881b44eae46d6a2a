// Users that try many ports without a listener.
#include "daemon/gate/closed_ports.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Uid bob{2002};
constexpr Uid carol{2003};

struct ClosedPortsTest : testing::Test {
    ClosedPorts closed;
    TimePoint now{seconds(1000)};
    Address node = *Address::parse("10.0.0.1");

    // The sum of the tries that the log tells of for these ports.
    std::uint64_t scan(unsigned first, unsigned count, std::optional<Uid> user = {}) {
        std::uint64_t told = 0;
        for (unsigned port = first; port < first + count; ++port)
            told += closed.add(node, user, static_cast<Port>(port), now);
        return told;
    }
};

TEST_F(ClosedPortsTest, a_few_are_no_scan) {
    EXPECT_EQ(scan(8000, ClosedPorts::many - 1), 0u);
    for (int i = 0; i < 1000; ++i)
        EXPECT_EQ(scan(8000, 1), 0u);
}

TEST_F(ClosedPortsTest, a_scan_is_told_of_at_once_and_then_once_a_second) {
    EXPECT_EQ(scan(8000, 1000), std::uint64_t{ClosedPorts::many});
    now += seconds(1);
    EXPECT_EQ(scan(9000, 1), 1000u - ClosedPorts::many + 1);
    now += milliseconds(500);
    EXPECT_EQ(scan(9001, 100), 0u);
}

TEST_F(ClosedPortsTest, few_in_each_minute_are_no_scan) {
    for (unsigned minute = 0; minute < 10; ++minute) {
        EXPECT_EQ(scan(8000 + 8 * minute, 8), 0u);
        now += ClosedPorts::together;
    }
}

TEST_F(ClosedPortsTest, each_user_of_this_node_counts_alone) {
    EXPECT_EQ(scan(8000, 10, bob), 0u);
    EXPECT_EQ(scan(8010, 10, carol), 0u);
    EXPECT_EQ(scan(8010, 6, bob), 16u);
}

TEST_F(ClosedPortsTest, forged_addresses_hide_no_scan_and_take_no_more_room) {
    EXPECT_EQ(scan(8000, 20), 16u);
    now += seconds(1);
    for (unsigned i = 0; i < 100'000; ++i) {
        const auto forged = *Address::parse(fmt::format("fd00::{:x}:{:x}", i >> 16, i & 0xffff));
        EXPECT_EQ(closed.add(forged, {}, 80, now), 0u);
    }
    EXPECT_LE(closed.size(), ClosedPorts::most);
    EXPECT_EQ(scan(9000, 1), 5u);
}

} // namespace
} // namespace ubf
