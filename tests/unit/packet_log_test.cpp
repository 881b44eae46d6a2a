#include "netlink/packet_log.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

namespace ubf {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes attribute(std::uint16_t type, const Bytes& payload) {
    nlattr header{};
    header.nla_type = type;
    header.nla_len = static_cast<std::uint16_t>(sizeof header + payload.size());
    Bytes bytes((header.nla_len + 3u) & ~3u);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::ranges::copy(payload, bytes.begin() + sizeof header);
    return bytes;
}

// As the kernel logs a packet.
Bytes message(const std::vector<Bytes>& attributes, std::uint16_t type = NFULNL_MSG_PACKET) {
    struct {
        nlmsghdr header{};
        nfgenmsg body{};
    } start;
    Bytes bytes(sizeof start);
    for (const auto& each : attributes)
        bytes.insert(bytes.end(), each.begin(), each.end());
    start.header.nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_ULOG << 8 | type);
    start.header.nlmsg_len = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data(), &start, sizeof start);
    return bytes;
}

struct Logged {
    std::optional<Uid> uid;
    std::uint32_t interface;
    Bytes bytes;
};

std::vector<Logged> parse(const Bytes& datagram) {
    std::vector<Logged> logged;
    parse_log_messages(datagram, [&](const LoggedPacket& packet) {
        logged.push_back(
            {packet.uid, packet.interface, {packet.bytes.begin(), packet.bytes.end()}});
    });
    return logged;
}

const Bytes uid = attribute(NFULA_UID, {0, 0, 0x07, 0xd1});
const Bytes interface = attribute(NFULA_IFINDEX_OUTDEV, {0, 0, 0, 3});
const Bytes payload = attribute(NFULA_PAYLOAD, {0x45, 1, 2, 3, 4});

TEST(PacketLog, a_packet_has_its_user_interface_and_bytes) {
    const auto prefix = attribute(NFULA_PREFIX, {'x', 0});
    const auto logged = parse(message({prefix, uid, interface, payload}));
    ASSERT_EQ(logged.size(), 1u);
    EXPECT_EQ(logged[0].uid, Uid{2001});
    EXPECT_EQ(logged[0].interface, 3u);
    EXPECT_EQ(logged[0].bytes, (Bytes{0x45, 1, 2, 3, 4}));
}

TEST(PacketLog, what_no_program_sent_has_no_user) {
    const auto logged = parse(message({payload}));
    ASSERT_EQ(logged.size(), 1u);
    EXPECT_FALSE(logged[0].uid);
}

TEST(PacketLog, a_user_that_is_cut_short_is_none) {
    for (const auto& part : {Bytes{}, Bytes{0}, Bytes{0, 0, 7}}) {
        const auto logged = parse(message({attribute(NFULA_UID, part), payload}));
        ASSERT_EQ(logged.size(), 1u);
        EXPECT_FALSE(logged[0].uid) << part.size();
    }
}

TEST(PacketLog, several_messages_of_a_datagram_are_told_apart) {
    auto bytes = message({uid, payload});
    for (const auto& more : {message({}, NFULNL_MSG_CONFIG), message({payload})})
        bytes.insert(bytes.end(), more.begin(), more.end());
    const auto logged = parse(bytes);
    ASSERT_EQ(logged.size(), 2u); // a message of another type is none
    EXPECT_TRUE(logged[0].uid);
    EXPECT_FALSE(logged[1].uid);
}

TEST(PacketLog, lengths_that_dont_add_up_reach_nothing_beyond) {
    const auto whole = message({uid, interface, payload});
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_TRUE(
            parse({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}).empty())
            << length;
    for (const int length : {0, 1, 3, 9, 500, 0xffff}) {
        const auto wrong = static_cast<std::uint16_t>(length);
        auto bytes = whole;
        std::memcpy(bytes.data() + sizeof(nlmsghdr) + sizeof(nfgenmsg), &wrong, sizeof wrong);
        for (const auto& logged : parse(bytes))
            EXPECT_LE(logged.bytes.size(), whole.size()) << wrong;
    }
}

TEST(PacketLog, random_bytes_do_no_harm) {
    const auto whole = message({uid, interface, payload});
    std::mt19937 random(1);
    for (int i = 0; i < 20'000; ++i) {
        auto bytes = whole;
        for (std::size_t j = 0; j < bytes.size(); ++j)
            if (random() % 8 == 0)
                bytes[j] = static_cast<std::uint8_t>(random());
        for (const auto& logged : parse(bytes))
            EXPECT_LE(logged.bytes.size(), bytes.size());
    }
}

} // namespace
} // namespace ubf
