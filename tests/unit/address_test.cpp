#include "flow/flow.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

std::string round_trip(const char* text) {
    const auto address = Address::parse(text);
    return address ? to_string(*address) : "none";
}

TEST(Address, both_families_are_read_and_written) {
    EXPECT_EQ(round_trip("10.0.0.1"), "10.0.0.1");
    EXPECT_EQ(round_trip("fd00::1"), "fd00::1");
    EXPECT_EQ(round_trip("::"), "::");
}

TEST(Address, a_mapped_address_is_the_ipv4_address) {
    EXPECT_EQ(round_trip("::ffff:10.0.0.1"), "10.0.0.1");
    EXPECT_EQ(Address::parse("::ffff:10.0.0.1"), Address::parse("10.0.0.1"));
}

TEST(Address, junk_is_refused) {
    for (const char* text : {"", "10.0.0", "10.0.0.1 ", "10.0.0.256", "fe80::1%eth0", "localhost"})
        EXPECT_EQ(round_trip(text), "none") << text;
    EXPECT_FALSE(Address::parse(std::string_view("10.0.0.1\0x", 10)));
}

TEST(Prefix, contains_what_shares_its_bits) {
    const auto prefix = Prefix::parse("10.1.0.0/16");
    ASSERT_TRUE(prefix);
    EXPECT_TRUE(prefix->contains(*Address::parse("10.1.255.255")));
    EXPECT_FALSE(prefix->contains(*Address::parse("10.2.0.0")));
    EXPECT_FALSE(prefix->contains(*Address::parse("fd00::1")));
    EXPECT_EQ(to_string(prefix->last()), "10.1.255.255");
}

TEST(Prefix, all_of_ipv4_is_not_all_of_ipv6) {
    EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("fd00::1")));
    EXPECT_FALSE(Prefix::parse("::/0")->contains(*Address::parse("10.0.0.1")));
}

TEST(Prefix, bits_behind_it_are_refused) {
    EXPECT_FALSE(Prefix::parse("10.1.0.1/16"));
    EXPECT_FALSE(Prefix::parse("fd00::1/64"));
    EXPECT_FALSE(Prefix::parse("10.0.0.0/33"));
    EXPECT_FALSE(Prefix::parse("10.0.0.0/"));
    EXPECT_FALSE(Prefix::parse("10.0.0.0/-1"));
    EXPECT_TRUE(Prefix::parse("10.0.0.1"));
}

TEST(Endpoint, is_written_as_it_is_read) {
    EXPECT_EQ(to_string(*Endpoint::parse("10.0.0.1:80")), "10.0.0.1:80");
    EXPECT_EQ(to_string(*Endpoint::parse("[fd00::1]:80")), "[fd00::1]:80");
    for (const char* text : {"10.0.0.1", "fd00::1:80", "[10.0.0.1]:80", ":80", "10.0.0.1:65536"})
        EXPECT_FALSE(Endpoint::parse(text)) << text;
}

TEST(Flow, reversed_twice_is_itself_and_hashes_alike) {
    const Flow flow{Protocol::udp, *Endpoint::parse("10.0.0.1:1"), *Endpoint::parse("10.0.0.2:2")};
    EXPECT_EQ(flow.reversed().reversed(), flow);
    EXPECT_NE(flow.reversed(), flow);
    EXPECT_NE(std::hash<Flow>{}(flow), std::hash<Flow>{}(flow.reversed()));
}

} // namespace
} // namespace ubf
