#include "netlink/link.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <net/if_arp.h>
#include <vector>

#include <linux/rtnetlink.h>

namespace ubf {
namespace {

using Bytes = std::vector<std::uint8_t>;

const Bytes broadcast_of_8001{0x00, 0xff, 0xff, 0xff, 0xff, 0x12, 0x40, 0x1b, 0x80, 0x01,
                              0,    0,    0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff};

// As the kernel answers RTM_GETLINK.
Bytes answer(std::uint16_t type, const Bytes& broadcast) {
    struct {
        nlmsghdr header{};
        ifinfomsg body{};
        nlattr attribute{};
    } start;
    const auto length = sizeof start + broadcast.size();
    start.header.nlmsg_len = static_cast<std::uint32_t>(length);
    start.header.nlmsg_type = RTM_NEWLINK;
    start.header.nlmsg_seq = 7;
    start.body.ifi_type = type;
    start.attribute.nla_len = static_cast<std::uint16_t>(sizeof start.attribute + broadcast.size());
    start.attribute.nla_type = IFLA_BROADCAST;
    Bytes bytes(length);
    std::memcpy(bytes.data(), &start, sizeof start);
    std::ranges::copy(broadcast, bytes.begin() + sizeof start);
    return bytes;
}

TEST(Link, of_the_type_infiniband_is_of_the_fabric_and_has_a_pkey) {
    const auto link = parse_link(answer(ARPHRD_INFINIBAND, broadcast_of_8001), 7);
    ASSERT_TRUE(link);
    EXPECT_TRUE(link->is_fabric());
    EXPECT_EQ(link->pkey, 0x8001);
}

TEST(Link, of_another_type_has_none) {
    const auto link = parse_link(answer(ARPHRD_ETHER, broadcast_of_8001), 7);
    ASSERT_TRUE(link);
    EXPECT_FALSE(link->is_fabric());
    EXPECT_FALSE(link->pkey);
}

TEST(Link, whose_broadcast_address_is_none_of_ipoib_has_no_pkey) {
    auto other = broadcast_of_8001;
    other[6] = 0x41;
    for (const auto& broadcast : {Bytes{}, Bytes(6, 0xff), Bytes(20, 0xff), other}) {
        const auto link = parse_link(answer(ARPHRD_INFINIBAND, broadcast), 7);
        ASSERT_TRUE(link);
        EXPECT_FALSE(link->pkey);
    }
}

TEST(Link, an_answer_that_is_cut_short_or_anothers_is_none) {
    const auto whole = answer(ARPHRD_INFINIBAND, broadcast_of_8001);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_FALSE(parse_link(part, 7)) << length;
    }
    EXPECT_EQ(parse_link(whole, 8).error(), ENOMSG);
}

} // namespace
} // namespace ubf
