#include "flow/flow.hpp"

#include <fmt/format.h>
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

std::vector<std::string> rest_of(const char* range, const char* hole) {
    std::vector<std::string> texts;
    for (const auto& prefix : without(*Prefix::parse(range), *Prefix::parse(hole)))
        texts.push_back(to_string(prefix));
    return texts;
}

TEST(Prefix, what_is_left_without_another_is_all_but_that) {
    using Texts = std::vector<std::string>;
    EXPECT_EQ(rest_of("10.0.0.0/30", "10.0.0.2"), (Texts{"10.0.0.0/31", "10.0.0.3/32"}));
    EXPECT_EQ(rest_of("10.0.0.0/30", "10.0.0.0/31"), (Texts{"10.0.0.2/31"}));
    EXPECT_EQ(rest_of("10.0.0.0/30", "10.0.0.0/8"), Texts{});
    EXPECT_EQ(rest_of("10.0.0.0/30", "10.0.1.0/24"), (Texts{"10.0.0.0/30"}));
    EXPECT_EQ(rest_of("10.0.0.0/30", "fd00::/8"), (Texts{"10.0.0.0/30"}));
    EXPECT_EQ(rest_of("fd00::/126", "fd00::1"), (Texts{"fd00::2/127", "fd00::/128"}));
    EXPECT_EQ(rest_of("0.0.0.0/0", "128.0.0.0/1"), (Texts{"0.0.0.0/1"}));
    const auto rest = without(*Prefix::parse("10.0.0.0/16"), *Prefix::parse("10.0.77.7"));
    EXPECT_EQ(rest.size(), 16u);
    for (unsigned n = 0; n < 65536; ++n) {
        const auto address = *Address::parse(fmt::format("10.0.{}.{}", n / 256, n % 256));
        ASSERT_EQ(contains(rest, address), n != 77 * 256 + 7) << to_string(address);
    }
}

} // namespace
} // namespace ubf
