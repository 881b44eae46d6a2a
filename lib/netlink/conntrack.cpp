#include "netlink/conntrack.hpp"

#include <arpa/inet.h>
#include <array>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
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

} // namespace

Conntrack::Conntrack()
  : socket_(NETLINK_NETFILTER) {}

int Conntrack::find(const Flow& flow) {
    return ask(IPCTNL_MSG_CT_GET, family_of(flow),
               [&](nlmsghdr* message) { put_tuple(message, flow); });
}

int Conntrack::forget(const Flow& flow) {
    return ask(IPCTNL_MSG_CT_DELETE, family_of(flow),
               [&](nlmsghdr* message) { put_tuple(message, flow); });
}

int Conntrack::forget_marked(std::uint32_t mark, std::uint32_t mask) {
    return ask(IPCTNL_MSG_CT_DELETE, AF_UNSPEC, [&](nlmsghdr* message) {
        mnl_attr_put_u32(message, CTA_MARK, htonl(mark));
        mnl_attr_put_u32(message, CTA_MARK_MASK, htonl(mask));
    });
}

int Conntrack::ask(std::uint16_t type, std::uint8_t family, const Fill& fill) {
    alignas(nlmsghdr) std::array<std::uint8_t, 512> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = ++sequence_;
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    fill(message);
    if (const int error = socket_.send({buffer.data(), message->nlmsg_len}); error != 0)
        return error;
    return socket_.receive_acknowledgement(sequence_);
}

} // namespace ubf
