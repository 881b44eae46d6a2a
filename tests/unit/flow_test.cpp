#include "flow/flow.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

TEST(Flow, is_read_as_it_is_written) {
    for (const char* text :
         {"tcp 10.0.0.1:4000 -> 10.0.0.2:80", "udp [fd00::1]:1 -> [fd00::2]:65535"}) {
        const auto flow = Flow::parse(text);
        ASSERT_TRUE(flow) << text;
        EXPECT_EQ(to_string(*flow), text);
    }
}

TEST(Flow, is_nothing_else) {
    for (const char* text :
         {"", "tcp", "sctp 10.0.0.1:1 -> 10.0.0.2:2", "tcp 10.0.0.1:1 10.0.0.2:2",
          "tcp 10.0.0.1:1 -> 10.0.0.2", "tcp 10.0.0.1:1 -> [fd00::2]:2",
          "tcp  10.0.0.1:1 -> 10.0.0.2:2", "tcp 10.0.0.1:1 -> 10.0.0.2:2 ", "tcp 10.0.0.1:1 -> "})
        EXPECT_FALSE(Flow::parse(text)) << text;
}

} // namespace
} // namespace ubf
