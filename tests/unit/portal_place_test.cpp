#include "daemon/connect/place.hpp"

#include <gtest/gtest.h>

namespace ubf::connect {
namespace {

TEST(PortalPlace, has_a_path_that_says_all) {
    const Place v4{Uid{1001}, *Endpoint::parse("10.0.0.7:8888")};
    const Place v6{Uid{1001}, *Endpoint::parse("[fd00::7]:8888")};
    EXPECT_EQ(path_of(v4), "1001/10.0.0.7_8888");
    EXPECT_EQ(path_of(v6), "1001/fd00__7_8888");
    EXPECT_EQ(place_of("1001", "10.0.0.7_8888"), v4);
    EXPECT_EQ(place_of("1001", "fd00__7_8888"), v6);
}

TEST(PortalPlace, other_files_are_none) {
    EXPECT_FALSE(place_of("1001", "ask.sock"));
    EXPECT_FALSE(place_of("alice", "10.0.0.7_8888"));
    EXPECT_FALSE(place_of("01001", "10.0.0.7_8888"));
    EXPECT_FALSE(place_of("1001", "10.0.0.7_08888"));
    EXPECT_FALSE(place_of("1001", "10.0.0.7:8888"));
    EXPECT_FALSE(place_of("1001", "fd00_0__7_8888"));
    EXPECT_FALSE(place_of("1001", "10.0.0.7_99999"));
    EXPECT_FALSE(place_of("1001", "_8888"));
    EXPECT_FALSE(place_of("1001", ""));
}

} // namespace
} // namespace ubf::connect
