#include "netlink/conntrack.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <vector>

namespace ubf {
namespace {

constexpr std::uint32_t number = 7;

// As the kernel describes an entry (nf_conntrack_netlink.c, ctnetlink_fill_info).
class Message {
  public:
    Message() {
        header_ = mnl_nlmsg_put_header(buffer_.data());
        header_->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
        header_->nlmsg_seq = number;
        mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg));
    }
    Message& tuple(std::uint16_t type, const char* from, std::uint16_t from_port, const char* to,
                   std::uint16_t to_port) {
        const auto source = *Address::parse(from), destination = *Address::parse(to);
        auto* all = mnl_attr_nest_start(header_, type);
        auto* ip = mnl_attr_nest_start(header_, CTA_TUPLE_IP);
        if (source.is_v4()) {
            mnl_attr_put(header_, CTA_IP_V4_SRC, 4, source.v4_bytes().data());
            mnl_attr_put(header_, CTA_IP_V4_DST, 4, destination.v4_bytes().data());
        } else {
            mnl_attr_put(header_, CTA_IP_V6_SRC, 16, source.bytes().data());
            mnl_attr_put(header_, CTA_IP_V6_DST, 16, destination.bytes().data());
        }
        mnl_attr_nest_end(header_, ip);
        auto* protocol = mnl_attr_nest_start(header_, CTA_TUPLE_PROTO);
        mnl_attr_put_u8(header_, CTA_PROTO_NUM, 17);
        mnl_attr_put_u16(header_, CTA_PROTO_SRC_PORT, htons(from_port));
        mnl_attr_put_u16(header_, CTA_PROTO_DST_PORT, htons(to_port));
        mnl_attr_nest_end(header_, protocol);
        mnl_attr_nest_end(header_, all);
        return *this;
    }
    Message& status(std::uint32_t bits) {
        mnl_attr_put_u32(header_, CTA_STATUS, htonl(bits));
        return *this;
    }
    std::span<const std::uint8_t> bytes() const { return {buffer_.data(), header_->nlmsg_len}; }

  private:
    alignas(nlmsghdr) std::array<std::uint8_t, 1024> buffer_{};
    nlmsghdr* header_;
};

Flow flow(const char* from, Port from_port, const char* to, Port to_port) {
    return {Protocol::udp, {*Address::parse(from), from_port}, {*Address::parse(to), to_port}};
}

TEST(Conntrack, an_entry_says_who_began_and_whether_an_answer_came) {
    Message v4;
    v4.tuple(CTA_TUPLE_ORIG, "10.0.0.1", 4000, "10.0.0.2", 9001)
        .tuple(CTA_TUPLE_REPLY, "10.0.0.2", 9001, "10.0.0.1", 4000)
        .status(IPS_CONFIRMED | IPS_SEEN_REPLY);
    const auto found = parse_tracked(v4.bytes(), number);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->original, flow("10.0.0.1", 4000, "10.0.0.2", 9001));
    EXPECT_TRUE(found->replied);

    Message v6;
    v6.tuple(CTA_TUPLE_ORIG, "fd00::1", 1, "fd00::2", 65535)
        .tuple(CTA_TUPLE_REPLY, "fd00::2", 65535, "fd00::1", 1)
        .status(IPS_CONFIRMED);
    const auto other = parse_tracked(v6.bytes(), number);
    ASSERT_TRUE(other);
    EXPECT_EQ(other->original, flow("fd00::1", 1, "fd00::2", 65535));
    EXPECT_FALSE(other->replied);
}

TEST(Conntrack, an_entry_says_what_was_translated_into_what) {
    Message message;
    message.tuple(CTA_TUPLE_ORIG, "10.0.0.1", 4000, "10.0.0.2", 8080)
        .tuple(CTA_TUPLE_REPLY, "10.0.0.2", 8000, "10.0.0.1", 4000)
        .status(IPS_CONFIRMED | IPS_DST_NAT);
    const auto found = parse_tracked(message.bytes(), number);
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->translated);
    EXPECT_EQ(found->behind(), flow("10.0.0.1", 4000, "10.0.0.2", 8000));

    const auto attributes = message.bytes().subspan(sizeof(nlmsghdr) + sizeof(nfgenmsg));
    const auto queued = parse_translated(attributes);
    ASSERT_TRUE(queued);
    EXPECT_EQ(queued->original, flow("10.0.0.1", 4000, "10.0.0.2", 8080));
    EXPECT_FALSE(parse_translated({}));
    for (std::size_t length = 0; length < attributes.size(); ++length) {
        const auto part = attributes.first(length);
        const std::vector<std::uint8_t> copy(part.begin(), part.end()); // so that ASan sees its end
        EXPECT_FALSE(parse_translated(copy)) << length;
    }
}

TEST(Conntrack, a_message_that_lacks_something_is_no_entry) {
    EXPECT_EQ(parse_tracked(Message().status(0).bytes(), number).error(), EBADMSG);
    Message whole;
    whole.tuple(CTA_TUPLE_ORIG, "10.0.0.1", 4000, "10.0.0.2", 9001)
        .tuple(CTA_TUPLE_REPLY, "10.0.0.2", 9001, "10.0.0.1", 4000);
    EXPECT_EQ(parse_tracked(whole.bytes(), number + 1).error(), ENOMSG);
    for (std::size_t length = 0; length < whole.bytes().size(); ++length) {
        const auto part = whole.bytes().first(length);
        const std::vector<std::uint8_t> copy(part.begin(), part.end()); // so that ASan sees its end
        EXPECT_FALSE(parse_tracked(copy, number)) << length;
    }
}

} // namespace
} // namespace ubf
