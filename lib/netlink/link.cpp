#include "netlink/link.hpp"

#include "netlink/answer.hpp"

#include <cerrno>
#include <cstring>
#include <net/if_arp.h>

#include <linux/rtnetlink.h>

namespace ubf {
namespace {

// RFC 4391, 4: behind the queue pair's number of four bytes stands the multicast GID of the
// broadcast group, ff1s:401b:PKEY::ffff:ffff, s being the scope.
std::optional<std::uint16_t> pkey_of(netlink::Bytes broadcast) {
    constexpr std::size_t length = 20;
    if (broadcast.size() != length || broadcast[4] != 0xff || (broadcast[5] & 0xf0) != 0x10)
        return std::nullopt;
    const bool ipv4 = broadcast[6] == 0x40 && broadcast[7] == 0x1b;
    const bool ipv6 = broadcast[6] == 0x60 && broadcast[7] == 0x1b;
    if (!ipv4 && !ipv6)
        return std::nullopt;
    return static_cast<std::uint16_t>(broadcast[8] << 8 | broadcast[9]);
}

struct Request {
    nlmsghdr header;
    ifinfomsg body;
};

} // namespace

bool Link::is_fabric() const {
    return type == ARPHRD_INFINIBAND;
}

Result<Link, int> parse_link(std::span<const std::uint8_t> message, std::uint32_t sequence) {
    auto rest = netlink::answer(message, sequence, RTM_NEWLINK);
    if (!rest)
        return fail(int{rest.error()});
    ifinfomsg found{};
    if (rest->size() < sizeof found)
        return fail(int{EBADMSG});
    std::memcpy(&found, rest->data(), sizeof found);
    *rest = rest->subspan(sizeof found);
    Link link;
    link.type = found.ifi_type;
    while (const auto* attribute = netlink::next_attribute(*rest))
        if (link.is_fabric() && (attribute->nla_type & NLA_TYPE_MASK) == IFLA_BROADCAST)
            link.pkey = pkey_of(netlink::payload(attribute));
    return link;
}

Links::Links()
  : socket_(NETLINK_ROUTE) {}

Result<Link, int> Links::find(std::uint32_t interface) {
    Request request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_GETLINK;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.header.nlmsg_seq = ++sequence_;
    request.body.ifi_index = static_cast<int>(interface);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
    if (const int error = socket_.send({bytes, sizeof request}); error != 0)
        return fail(int{error});
    return netlink::receive_answer(socket_, sequence_, parse_link);
}

} // namespace ubf
