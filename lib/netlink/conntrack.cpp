#include "netlink/conntrack.hpp"

#include "netlink/answer.hpp"
#include "netlink/message.hpp"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>

namespace ubf {
namespace {

void put_tuple(nlmsghdr* message, const Flow& flow) {
    const bool v4 = flow.source.address.is_v4();
    nlattr* tuple = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
    nlattr* ip = mnl_attr_nest_start(message, CTA_TUPLE_IP);
    if (v4) {
        mnl_attr_put(message, CTA_IP_V4_SRC, 4, flow.source.address.v4_bytes().data());
        mnl_attr_put(message, CTA_IP_V4_DST, 4, flow.destination.address.v4_bytes().data());
    } else {
        mnl_attr_put(message, CTA_IP_V6_SRC, 16, flow.source.address.bytes().data());
        mnl_attr_put(message, CTA_IP_V6_DST, 16, flow.destination.address.bytes().data());
    }
    mnl_attr_nest_end(message, ip);
    nlattr* protocol = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, static_cast<std::uint8_t>(flow.protocol));
    mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, htons(flow.source.port));
    mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, htons(flow.destination.port));
    mnl_attr_nest_end(message, protocol);
    mnl_attr_nest_end(message, tuple);
}

std::uint8_t family_of(const Flow& flow) {
    return flow.source.address.is_v4() ? AF_INET : AF_INET6;
}

nlmsghdr* begin_message(std::span<std::uint8_t> buffer, std::uint16_t type, std::uint16_t flags,
                        std::uint32_t sequence, std::uint8_t family) {
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
    message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    message->nlmsg_seq = sequence;
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    return message;
}

// Calls `visit` with the type and the value of each attribute.
template<typename F>
void each_attribute(netlink::Bytes rest, F&& visit) {
    while (const auto* attribute = netlink::next_attribute(rest))
        visit(attribute->nla_type & NLA_TYPE_MASK, netlink::payload(attribute));
}

std::optional<Address> parse_address(netlink::Bytes bytes) {
    if (bytes.size() == 4)
        return Address::v4(bytes.first<4>());
    if (bytes.size() == 16)
        return Address::v6(bytes.first<16>());
    return std::nullopt;
}

std::optional<Flow> parse_tuple(netlink::Bytes tuple) {
    std::optional<Address> source, destination;
    std::optional<std::uint8_t> protocol;
    Port from = 0, to = 0;
    const auto port = [](netlink::Bytes value) {
        return value.size() == 2 ? static_cast<Port>(value[0] << 8 | value[1]) : Port{0};
    };
    each_attribute(tuple, [&](int part, netlink::Bytes fields) {
        each_attribute(fields, [&](int type, netlink::Bytes value) {
            if (part == CTA_TUPLE_IP) {
                if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC)
                    source = parse_address(value);
                else if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST)
                    destination = parse_address(value);
            } else if (part == CTA_TUPLE_PROTO) {
                if (type == CTA_PROTO_NUM && value.size() == 1)
                    protocol = value[0];
                else if (type == CTA_PROTO_SRC_PORT)
                    from = port(value);
                else if (type == CTA_PROTO_DST_PORT)
                    to = port(value);
            }
        });
    });
    if (!source || !destination || !protocol)
        return std::nullopt;
    return Flow{Protocol{*protocol}, {*source, from}, {*destination, to}};
}

struct Status {
    bool replied = false;
    bool translated = false;
};

Status status_of(netlink::Bytes attributes) {
    Status status;
    each_attribute(attributes, [&](int attribute, netlink::Bytes value) {
        std::uint32_t bits = 0; // in network order
        if (attribute != CTA_STATUS || value.size() != sizeof bits)
            return;
        std::memcpy(&bits, value.data(), sizeof bits);
        status.replied = (ntohl(bits) & IPS_SEEN_REPLY) != 0;
        status.translated = (ntohl(bits) & IPS_NAT_MASK) != 0;
    });
    return status;
}

std::optional<TrackedConnection> parse_entry(netlink::Bytes attributes) {
    std::optional<Flow> original, reply;
    each_attribute(attributes, [&](int attribute, netlink::Bytes value) {
        if (attribute == CTA_TUPLE_ORIG)
            original = parse_tuple(value);
        else if (attribute == CTA_TUPLE_REPLY)
            reply = parse_tuple(value);
    });
    if (!original || !reply)
        return std::nullopt;
    const auto [replied, translated] = status_of(attributes);
    return TrackedConnection{*original, *reply, replied, translated};
}

} // namespace

std::optional<TrackedConnection> parse_translated(std::span<const std::uint8_t> attributes) {
    if (attributes.empty() || !status_of(attributes).translated)
        return std::nullopt; // nearly all entries
    return parse_entry(attributes);
}

Result<TrackedConnection, int> parse_tracked(std::span<const std::uint8_t> message,
                                             std::uint32_t sequence) {
    constexpr std::uint16_t type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
    const auto bytes = netlink::answer(message, sequence, type);
    if (!bytes)
        return fail(int{bytes.error()});
    if (bytes->size() < sizeof(nfgenmsg))
        return fail(int{EBADMSG});
    const auto tracked = parse_entry(bytes->subspan(sizeof(nfgenmsg)));
    if (!tracked)
        return fail(int{EBADMSG});
    return *tracked;
}

Conntrack::Conntrack()
  : socket_(NETLINK_NETFILTER) {}

int Conntrack::find(const Flow& flow) {
    return ask(IPCTNL_MSG_CT_GET, flow);
}

Result<TrackedConnection, int> Conntrack::get(const Flow& flow) {
    if (const int error = send(IPCTNL_MSG_CT_GET, 0, flow); error != 0)
        return fail(int{error});
    return netlink::receive_answer(socket_, sequence_, parse_tracked);
}

Result<bool, int> Conntrack::has_passed(const Flow& flow) {
    const auto found = get(flow);
    if (!found && found.error() == ENOENT)
        return false;
    if (!found)
        return fail(int{found.error()});
    return found->original == flow || (found->original == flow.reversed() && found->replied);
}

int Conntrack::forget(const Flow& flow) {
    return ask(IPCTNL_MSG_CT_DELETE, flow);
}

int Conntrack::each_of_udp(const Each& each) {
    const int v4 = dump_udp(AF_INET, each);
    const int v6 = dump_udp(AF_INET6, each);
    return v4 != 0 ? v4 : v6;
}

// Lets the kernel itself leave out other protocols. (Before Linux 5.8 it doesn't know the filter.)
int Conntrack::dump_udp(std::uint8_t family, const Each& each) {
    constexpr std::uint32_t by_protocol = 1 << 3; // CTA_FILTER_F_CTA_PROTO_NUM
    alignas(nlmsghdr) std::array<std::uint8_t, 256> request{};
    nlmsghdr* message = begin_message(request, IPCTNL_MSG_CT_GET, NLM_F_DUMP, ++sequence_, family);
    nlattr* tuple = mnl_attr_nest_start(message, CTA_TUPLE_ORIG);
    nlattr* protocol = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_UDP);
    mnl_attr_nest_end(message, protocol);
    mnl_attr_nest_end(message, tuple);
    nlattr* filter = mnl_attr_nest_start(message, CTA_FILTER);
    mnl_attr_put_u32(message, CTA_FILTER_ORIG_FLAGS, by_protocol);
    mnl_attr_put_u32(message, CTA_FILTER_REPLY_FLAGS, 0);
    mnl_attr_nest_end(message, filter);
    if (const int error = socket_.send({request.data(), message->nlmsg_len}); error != 0)
        return error;
    alignas(nlmsghdr) std::array<std::uint8_t, 32768> buffer;
    // The kernel continues the dump during each receive, so nothing waits.
    return netlink::receive_dump(socket_, sequence_, buffer, MSG_DONTWAIT,
                                 [&](netlink::Bytes entry) {
                                     const auto tracked = parse_tracked(entry, sequence_);
                                     if (!tracked)
                                         return int{tracked.error()};
                                     if (tracked->original.protocol == Protocol::udp)
                                         each(*tracked);
                                     return 0;
                                 });
}

int Conntrack::send(std::uint16_t type, std::uint16_t flags, const Flow& flow) {
    alignas(nlmsghdr) std::array<std::uint8_t, 512> buffer{};
    nlmsghdr* message = begin_message(buffer, type, flags, ++sequence_, family_of(flow));
    put_tuple(message, flow);
    return socket_.send({buffer.data(), message->nlmsg_len});
}

int Conntrack::ask(std::uint16_t type, const Flow& flow) {
    if (const int error = send(type, NLM_F_ACK, flow); error != 0)
        return error;
    return socket_.receive_acknowledgement(sequence_);
}

} // namespace ubf
