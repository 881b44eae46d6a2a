#include "base/node_settings.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

TEST(NodeSettings, unreachable_is_limited_where_the_list_has_type_1) {
    for (const auto* list : {"1", "0-1", "0-1,3-127", "129,0-3", "0,1"})
        EXPECT_TRUE(limits_unreachable(list)) << list;
    for (const auto* list : {"", "0", "0,2-127", "2-127", "11", "-", "0-,x-1", "1x", "4294967297"})
        EXPECT_FALSE(limits_unreachable(list)) << list;
}

TEST(NodeSettings, the_type_is_the_third_part_of_a_context) {
    EXPECT_EQ(selinux_type("system_u:system_r:ubfd_t:s0-s0:c0.c1023"), "ubfd_t");
    EXPECT_EQ(selinux_type("u:r:init_t"), "init_t");
    for (const auto* context : {"", "unconfined", "u:r"})
        EXPECT_EQ(selinux_type(context), "");
}

TEST(NodeSettings, the_kernel_says_which_ports_are_ephemeral) {
    const auto ports = ephemeral_ports();
    ASSERT_TRUE(ports);
    EXPECT_LT(0, ports->first);
    EXPECT_LE(ports->first, ports->last);
}

} // namespace
} // namespace ubf
