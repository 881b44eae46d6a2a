#include "nft/statement.hpp"

#include "nft/packet_key.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>

#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

namespace ubf::nft::statement {
namespace {

// Marks and states have host byte order in the register.
Bytes host(std::uint32_t value) {
    Bytes bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

Bytes host16(std::uint16_t value) {
    Bytes bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

std::uint64_t milliseconds(std::chrono::seconds time) {
    return static_cast<std::uint64_t>(std::chrono::milliseconds(time).count());
}

Bytes interface_name(std::string_view name) {
    Bytes bytes(IFNAMSIZ);
    std::memcpy(bytes.data(), name.data(), std::min(name.size(), bytes.size() - 1));
    return bytes;
}

Statement ports(std::uint32_t offset, std::uint32_t operation, Port port, std::string text) {
    return {
        std::move(text),
        {LoadPayload{NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2}, Compare{operation, network(port)}}};
}

Statement port_in(std::string_view name, std::uint32_t offset, const std::string& set,
                  bool inverted) {
    return {fmt::format("th {} {}@{}", name, inverted ? "!= " : "", set),
            {LoadPayload{NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2}, Lookup{set, inverted}}};
}

Statement ct_state(std::string_view name, std::uint32_t bit) {
    return {fmt::format("ct state {}", name),
            {LoadCt{NFT_CT_STATE}, Bitwise{host(bit), host(0)}, Compare{NFT_CMP_NEQ, host(0)}}};
}

// The family comes first: in an inet table the same offset is another field in the other family.
Statement address_in(SetType family, bool source, const std::string& set, bool inverted) {
    const bool v4 = family == SetType::ipv4;
    const std::uint8_t number = v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    return {fmt::format("{} {} {}@{}", v4 ? "ip" : "ip6", source ? "saddr" : "daddr",
                        inverted ? "!= " : "", set),
            {LoadMeta{NFT_META_NFPROTO}, equal({number}),
             LoadPayload{NFT_PAYLOAD_NETWORK_HEADER, address_offset(v4, source),
                         part::address(v4).length},
             Lookup{set, inverted}}};
}

Statement remember(PacketKey key, const std::string& set, std::chrono::seconds timeout) {
    return key.then(fmt::format("update @{} {{{{ {{}} timeout {}s }}}}", set, timeout.count()),
                    Update{set, milliseconds(timeout)});
}

// RFC 9293, 3.1
constexpr std::uint8_t syn = 0x02;
constexpr std::uint8_t ack = 0x10;

Statement tcp_flags(std::string text, std::uint8_t mask, std::uint32_t operation,
                    std::uint8_t flags) {
    constexpr std::uint32_t flags_offset = 13;
    return {std::move(text),
            {LoadPayload{NFT_PAYLOAD_TRANSPORT_HEADER, flags_offset, 1}, Bitwise{{mask}, {0}},
             Compare{operation, {flags}}}};
}

constexpr std::uint32_t root = 0; // as the kernel gives the user of a socket

} // namespace

Statement interface_in(const std::string& set, bool inverted) {
    return {fmt::format("iifname {}@{}", inverted ? "!= " : "", set),
            {LoadMeta{NFT_META_IIFNAME}, Lookup{set, inverted}}};
}

Statement on_loopback(bool yes) {
    return {yes ? "iifname \"lo\"" : "iifname != \"lo\"",
            {LoadMeta{NFT_META_IIFNAME},
             Compare{yes ? std::uint32_t{NFT_CMP_EQ} : std::uint32_t{NFT_CMP_NEQ},
                     interface_name("lo")}}};
}

Statement to_loopback() {
    return {"oifname \"lo\"", {LoadMeta{NFT_META_OIFNAME}, equal(interface_name("lo"))}};
}

Statement not_to_loopback() {
    return {"oifname != \"lo\"",
            {LoadMeta{NFT_META_OIFNAME}, Compare{NFT_CMP_NEQ, interface_name("lo")}}};
}

Statement to_interface_in(const std::string& set, bool inverted) {
    return {fmt::format("oifname {}@{}", inverted ? "!= " : "", set),
            {LoadMeta{NFT_META_OIFNAME}, Lookup{set, inverted}}};
}

Statement from_fabric() {
    return {fmt::format("meta iiftype {}", unsigned{ARPHRD_INFINIBAND}),
            {LoadMeta{NFT_META_IIFTYPE}, equal(host16(ARPHRD_INFINIBAND))}};
}

Statement to_fabric(bool yes) {
    return {fmt::format("meta oiftype {}{}", yes ? "" : "!= ", unsigned{ARPHRD_INFINIBAND}),
            {LoadMeta{NFT_META_OIFTYPE},
             Compare{yes ? std::uint32_t{NFT_CMP_EQ} : std::uint32_t{NFT_CMP_NEQ},
                     host16(ARPHRD_INFINIBAND)}}};
}

Statement protocol(std::uint8_t number, const std::string& name) {
    return {fmt::format("meta l4proto {}", name), {LoadMeta{NFT_META_L4PROTO}, equal({number})}};
}

Statement protocol_not(std::uint8_t number, const std::string& name) {
    return {fmt::format("meta l4proto != {}", name),
            {LoadMeta{NFT_META_L4PROTO}, Compare{NFT_CMP_NEQ, {number}}}};
}

Statement tcp() {
    return protocol(IPPROTO_TCP, "tcp");
}

Statement udp() {
    return protocol(IPPROTO_UDP, "udp");
}

Statement protocol_in(const std::string& set) {
    return {fmt::format("meta l4proto @{}", set), {LoadMeta{NFT_META_L4PROTO}, Lookup{set, false}}};
}

Statement source_in(SetType family, const std::string& set, bool inverted) {
    return address_in(family, true, set, inverted);
}

// RFC 3927, RFC 4291 2.5.6.
Statement source_is_not_link_local(SetType family) {
    if (family == SetType::ipv4)
        return {"ip saddr != 169.254.0.0/16",
                {LoadMeta{NFT_META_NFPROTO}, equal({NFPROTO_IPV4}),
                 LoadPayload{NFT_PAYLOAD_NETWORK_HEADER, 12, 2}, Compare{NFT_CMP_NEQ, {169, 254}}}};
    Bytes mask(16), prefix(16);
    mask[0] = 0xff;
    mask[1] = 0xc0;
    prefix[0] = 0xfe;
    prefix[1] = 0x80;
    return {"ip6 saddr != fe80::/10",
            {LoadMeta{NFT_META_NFPROTO}, equal({NFPROTO_IPV6}),
             LoadPayload{NFT_PAYLOAD_NETWORK_HEADER, 8, 16}, Bitwise{mask, Bytes(16)},
             Compare{NFT_CMP_NEQ, prefix}}};
}

Statement destination_in(SetType family, const std::string& set) {
    return address_in(family, false, set, false);
}

Statement over_ipv6() {
    return {"meta nfproto ipv6", {LoadMeta{NFT_META_NFPROTO}, equal({NFPROTO_IPV6})}};
}

Statement destination_is_multicast(SetType family) {
    if (family == SetType::ipv4)
        return {"ip daddr 224.0.0.0/4",
                {LoadMeta{NFT_META_NFPROTO}, equal({NFPROTO_IPV4}),
                 LoadPayload{NFT_PAYLOAD_NETWORK_HEADER, 16, 4},
                 Bitwise{{0xf0, 0, 0, 0}, {0, 0, 0, 0}}, equal({0xe0, 0, 0, 0})}};
    return {"ip6 daddr ff00::/8",
            {LoadMeta{NFT_META_NFPROTO}, equal({NFPROTO_IPV6}),
             LoadPayload{NFT_PAYLOAD_NETWORK_HEADER, 24, 1}, equal({0xff})}};
}

Statement destination_is_broadcast() {
    return {"fib daddr type broadcast",
            {LoadFib{NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR}, equal(host(RTN_BROADCAST))}};
}

Statement source_not_local() {
    return {"fib saddr type != local",
            {LoadFib{NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_SADDR},
             Compare{NFT_CMP_NEQ, host(RTN_LOCAL)}}};
}

Statement link_broadcast() {
    return {"meta pkttype broadcast", {LoadMeta{NFT_META_PKTTYPE}, equal({PACKET_BROADCAST})}};
}

Statement source_port_below(Port port, const std::string& text) {
    return ports(source_port_offset, NFT_CMP_LT, port, fmt::format("th sport < {}", text));
}

Statement source_port_from(Port port, const std::string& text) {
    return ports(source_port_offset, NFT_CMP_GTE, port, fmt::format("th sport >= {}", text));
}

Statement source_port(Port port, const std::string& text) {
    return ports(source_port_offset, NFT_CMP_EQ, port, fmt::format("th sport {}", text));
}

Statement destination_port(Port port, const std::string& text) {
    return ports(destination_port_offset, NFT_CMP_EQ, port, fmt::format("th dport {}", text));
}

Statement destination_port_from(Port port) {
    return ports(destination_port_offset, NFT_CMP_GTE, port, fmt::format("th dport >= {}", port));
}

Statement destination_port_to(Port port) {
    return ports(destination_port_offset, NFT_CMP_LTE, port, fmt::format("th dport <= {}", port));
}

Statement source_port_in(const std::string& set, bool inverted) {
    return port_in("sport", source_port_offset, set, inverted);
}

Statement destination_port_in(const std::string& set, bool inverted) {
    return port_in("dport", destination_port_offset, set, inverted);
}

Statement syn_without_ack() {
    return tcp_flags("tcp flags & (syn | ack) == syn", syn | ack, NFT_CMP_EQ, syn);
}

Statement not_syn_without_ack() {
    return tcp_flags("tcp flags & (syn | ack) != syn", syn | ack, NFT_CMP_NEQ, syn);
}

Statement syn_with_ack() {
    return tcp_flags("tcp flags & (syn | ack) == (syn | ack)", syn | ack, NFT_CMP_EQ, syn | ack);
}

Statement no_syn() {
    return tcp_flags("tcp flags & syn == 0", syn, NFT_CMP_EQ, 0);
}

Statement from_socket_of_user() {
    constexpr std::uint32_t nobody = ~0u; // no uid; and a socket of the kernel has none at all
    return {fmt::format("meta skuid != {}", nobody),
            {LoadMeta{NFT_META_SKUID}, Compare{NFT_CMP_NEQ, host(nobody)}}};
}

Statement from_root() {
    return {fmt::format("meta skuid {}", root), {LoadMeta{NFT_META_SKUID}, equal(host(root))}};
}

Statement from_ordinary_user() {
    return {fmt::format("meta skuid != {}", root),
            {LoadMeta{NFT_META_SKUID}, Compare{NFT_CMP_NEQ, host(root)}}};
}

// The kernel answers only for full sockets.
Statement from_connecting_socket() {
    return {"socket wildcard 0", {LoadSocket{NFT_SOCKET_WILDCARD}, equal({0})}};
}

Statement not_transparent() {
    return {"socket transparent 0", {LoadSocket{NFT_SOCKET_TRANSPARENT}, equal({0})}};
}

Statement flow_in(SetType type, const std::string& set, bool inverted, bool answer) {
    return flow_key(PacketKey(type), !answer, answer)
        .then(fmt::format("{{}} {}@{}", inverted ? "!= " : "", set), Lookup{set, inverted});
}

Statement listener_in(SetType type, const std::string& set) {
    return listener_key(PacketKey(type), false)
        .then(fmt::format("{{}} @{}", set), Lookup{set, false});
}

Statement from_place_in(SetType type, const std::string& set) {
    return place_key(PacketKey(type), true).then(fmt::format("{{}} @{}", set), Lookup{set, false});
}

Statement from_held_place_in(SetType type, const std::string& set) {
    return held_place_key(PacketKey(type), true)
        .then(fmt::format("{{}} @{}", set), Lookup{set, false});
}

Statement ct_untracked() {
    return ct_state("untracked", NF_CT_STATE_UNTRACKED_BIT);
}

Statement ct_zoned() {
    return {"ct zone != 0", {LoadCt{NFT_CT_ZONE}, Compare{NFT_CMP_NEQ, host16(0)}}};
}

Statement ct_reply() {
    constexpr std::uint8_t ct_direction_reply = 1; // enum ip_conntrack_dir
    return {"ct direction reply", {LoadCt{NFT_CT_DIRECTION}, equal({ct_direction_reply})}};
}

Statement ct_first() {
    return {"ct status and confirmed == 0x0",
            {LoadCt{NFT_CT_STATUS}, Bitwise{host(IPS_CONFIRMED), host(0)},
             Compare{NFT_CMP_EQ, host(0)}}};
}

Statement ct_established() {
    return ct_state("established", NF_CT_STATE_BIT(IP_CT_ESTABLISHED));
}

Statement ct_translated() {
    return {"ct status and (snat | dnat) != 0x0",
            {LoadCt{NFT_CT_STATUS}, Bitwise{host(IPS_NAT_MASK), host(0)},
             Compare{NFT_CMP_NEQ, host(0)}}};
}

Statement priority_in(const std::string& set, std::uint32_t mask) {
    return {fmt::format("meta priority and 0x{:08x} @{}", mask, set),
            {LoadMeta{NFT_META_PRIORITY}, Bitwise{host(mask), host(0)}, Lookup{set, false}}};
}

Statement mark_is(const Mark& mark, std::uint32_t field, const std::string& text) {
    return {fmt::format("meta mark and $mark_mask == {}", text),
            {LoadMeta{NFT_META_MARK}, Bitwise{host(mark.mask), host(0)}, equal(host(field))}};
}

Statement set_mark(const Mark& mark, std::uint32_t field, const std::string& text) {
    return {field == 0 ? std::string("meta mark set meta mark and $mark_others")
                       : fmt::format("meta mark set meta mark and $mark_others or {}", text),
            {LoadMeta{NFT_META_MARK}, Bitwise{host(~mark.mask), host(field)},
             StoreMeta{NFT_META_MARK}}};
}

Statement remember_answer(SetType type, const std::string& set, std::chrono::seconds timeout) {
    return remember(flow_key(PacketKey(type), false, true), set, timeout);
}

Statement remember_destination(SetType type, const std::string& set, std::chrono::seconds timeout) {
    return remember(place_key(PacketKey(type), false), set, timeout);
}

Statement see_flow_in(SetType type, const std::string& set, const std::string& seen,
                      std::chrono::seconds timeout) {
    auto statement = flow_key(PacketKey(type), true, false)
                         .then(fmt::format("{{0}} @{} update @{} {{{{ {{0}} timeout {}s }}}}", set,
                                           seen, timeout.count()),
                               Lookup{set, false});
    statement.expressions.push_back(Update{seen, milliseconds(timeout)});
    return statement;
}

Statement from_users(const UidRange& users) {
    const auto bytes = [](Uid uid) {
        const auto number = htonl(value(uid));
        Bytes result(sizeof number);
        std::memcpy(result.data(), &number, sizeof number);
        return result;
    };
    return {fmt::format("meta skuid {}-{}", value(users.first), value(users.last)),
            {LoadMeta{NFT_META_SKUID}, ToNetworkOrder{}, Compare{NFT_CMP_GTE, bytes(users.first)},
             Compare{NFT_CMP_LTE, bytes(users.last)}}};
}

Statement remember_user(const std::string& set, std::chrono::seconds timeout) {
    return {fmt::format("update @{} {{ meta skuid timeout {}s }}", set, timeout.count()),
            {LoadMeta{NFT_META_SKUID}, Update{set, milliseconds(timeout)}}};
}

Statement user_over_limit(const std::string& set, std::uint32_t per_second, std::uint32_t burst) {
    constexpr std::chrono::seconds forgotten_after{60};
    return {fmt::format("update @{} {{ meta skuid timeout {}s limit rate over {}/second burst {} "
                        "packets }}",
                        set, forgotten_after.count(), per_second, burst),
            {LoadMeta{NFT_META_SKUID},
             UpdateOverLimit{set, milliseconds(forgotten_after), per_second, burst}}};
}

} // namespace ubf::nft::statement
