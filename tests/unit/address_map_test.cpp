#include "flow/address_map.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

Prefix prefix(std::string_view text) {
    return *Prefix::parse(text);
}

std::string mapped(const AddressMap& map, std::string_view address) {
    return to_string(map(*Address::parse(address)));
}

TEST(AddressMap, goes_host_by_host) {
    AddressMap map;
    ASSERT_TRUE(map.add(prefix("10.149.0.0/16"), prefix("10.1.0.0/16")));
    ASSERT_TRUE(map.add(prefix("fd78::/64"), prefix("fd77:0:0:1::/64")));
    ASSERT_TRUE(map.add(prefix("10.150.0.8/29"), prefix("10.2.0.16/29")));
    EXPECT_EQ(mapped(map, "10.149.3.7"), "10.1.3.7");
    EXPECT_EQ(mapped(map, "10.149.255.255"), "10.1.255.255");
    EXPECT_EQ(mapped(map, "fd78::1:2:3:4"), "fd77::1:1:2:3:4");
    EXPECT_EQ(mapped(map, "10.150.0.13"), "10.2.0.21");
}

TEST(AddressMap, leaves_other_addresses_alone) {
    AddressMap map;
    ASSERT_TRUE(map.add(prefix("10.149.0.0/16"), prefix("10.1.0.0/16")));
    EXPECT_EQ(mapped(map, "10.148.3.7"), "10.148.3.7");
    EXPECT_EQ(mapped(map, "fd78::1"), "fd78::1");
}

TEST(AddressMap, takes_ranges_of_one_length_that_overlap_no_other) {
    AddressMap map;
    ASSERT_TRUE(map.add(prefix("10.149.0.0/16"), prefix("10.1.0.0/16")));
    EXPECT_FALSE(map.add(prefix("10.148.0.0/16"), prefix("10.2.0.0/24")));
    EXPECT_FALSE(map.add(prefix("10.148.0.0/16"), prefix("fd77::/16")));
    EXPECT_FALSE(map.add(prefix("10.149.3.0/24"), prefix("10.3.3.0/24")));
}

} // namespace
} // namespace ubf
