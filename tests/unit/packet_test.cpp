#include "flow/packet.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace ubf {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes v4(std::uint8_t protocol = 6) {
    Bytes packet{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    const Bytes transport{0x9c, 0x40, 0x22, 0xb8, 0, 0, 0, 0, 0, 0,
                          0,    0,    0x50, 2,    0, 0, 0, 0, 0, 0};
    packet.insert(packet.end(), transport.begin(), transport.end());
    return packet;
}

Bytes v6(std::uint8_t next = 6) {
    Bytes packet(40);
    packet[0] = 0x60;
    packet[6] = next;
    packet[8] = 0xfd;
    packet[23] = 1;
    packet[24] = 0xfd;
    packet[39] = 2;
    const auto transport = v4();
    packet.insert(packet.end(), transport.begin() + 20, transport.end());
    return packet;
}

Bytes with_extension(std::uint8_t kind, Bytes extension) {
    auto packet = v6(kind);
    packet.insert(packet.begin() + 40, extension.begin(), extension.end());
    return packet;
}

std::string text(const std::optional<Packet>& packet) {
    return packet ? to_string(packet->flow) : "none";
}

TEST(Packet, tcp_and_udp_of_both_families_are_read) {
    EXPECT_EQ(text(parse_packet(v4())), "tcp 10.0.0.1:40000 -> 10.0.0.2:8888");
    EXPECT_EQ(text(parse_packet(v4(17))), "udp 10.0.0.1:40000 -> 10.0.0.2:8888");
    EXPECT_EQ(text(parse_packet(v6())), "tcp [fd00::1]:40000 -> [fd00::2]:8888");
}

TEST(Packet, the_sequence_number_of_tcp_is_read) {
    auto packet = v4();
    packet[24] = 0x81;
    packet[27] = 0x02;
    EXPECT_EQ(parse_packet(packet)->sequence, 0x81000002u);
    packet[9] = 17;
    EXPECT_EQ(parse_packet(packet)->sequence, 0u);
}

TEST(Packet, options_of_ipv4_are_skipped) {
    auto packet = v4();
    packet[0] = 0x46;
    packet[3] = 44;
    packet.insert(packet.begin() + 20, {1, 1, 1, 1});
    EXPECT_EQ(text(parse_packet(packet)), "tcp 10.0.0.1:40000 -> 10.0.0.2:8888");
}

TEST(Packet, extension_headers_of_ipv6_are_walked) {
    EXPECT_NE(text(parse_packet(with_extension(0, {6, 0, 1, 4, 0, 0, 0, 0}))), "none");
    EXPECT_NE(text(parse_packet(with_extension(44, {6, 0, 0, 1, 0, 0, 0, 0}))), "none");
}

TEST(Packet, a_later_fragment_is_refused) {
    auto packet = v4();
    packet[7] = 1;
    EXPECT_EQ(text(parse_packet(packet)), "none");
    EXPECT_EQ(text(parse_packet(with_extension(44, {6, 0, 0, 8, 0, 0, 0, 0}))), "none");
}

TEST(Packet, other_protocols_and_versions_are_refused) {
    EXPECT_EQ(text(parse_packet(v4(1))), "none");
    EXPECT_EQ(text(parse_packet(v4(132))), "none");
    const auto rdma = static_cast<std::uint8_t>(Protocol::rdma); // no packet carries this protocol
    EXPECT_EQ(text(parse_packet(v4(rdma))), "none");
    EXPECT_EQ(text(parse_packet(v6(rdma))), "none");
    auto packet = v4();
    packet[0] = 0x55;
    EXPECT_EQ(text(parse_packet(packet)), "none");
}

TEST(Packet, an_ipv6_address_that_poses_as_ipv4_is_refused) {
    auto packet = v6();
    std::fill(packet.begin() + 8, packet.begin() + 18, std::uint8_t{0});
    packet[18] = packet[19] = 0xff;
    EXPECT_EQ(text(parse_packet(packet)), "none");
}

TEST(Packet, every_truncation_is_refused_or_read_and_none_is_overrun) {
    for (const auto& packet : {v4(), v6(), with_extension(0, {6, 0, 1, 4, 0, 0, 0, 0})})
        for (std::size_t length = 0; length < packet.size(); ++length) {
            const Bytes part(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length));
            EXPECT_EQ(text(parse_packet(part)), "none") << length;
        }
}

TEST(Packet, random_bytes_do_no_harm) {
    std::mt19937 random(1);
    for (int i = 0; i < 100'000; ++i) {
        Bytes packet(random() % 100);
        for (auto& byte : packet)
            byte = static_cast<std::uint8_t>(random());
        if (!packet.empty())
            packet[0] =
                static_cast<std::uint8_t>((random() % 2 == 0 ? 0x40 : 0x60) | (packet[0] & 15));
        static_cast<void>(parse_packet(packet));
    }
}

} // namespace
} // namespace ubf
