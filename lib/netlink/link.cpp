#include "netlink/link.hpp"

#include "netlink/answer.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <net/if_arp.h>
#include <sys/socket.h>
#include <system_error>

#include <linux/rtnetlink.h>

namespace ubf {
namespace {

// RFC 4391, 4: the first four bytes hold the queue pair's number. The multicast GID of the
// broadcast group follows: ff1s:401b:PKEY::ffff:ffff, s being the scope.
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

// The kernel ends the text with a zero byte.
std::string text_of(netlink::Bytes value) {
    const auto* text = reinterpret_cast<const char*>(value.data());
    return value.empty() ? std::string() : std::string(text, ::strnlen(text, value.size()));
}

std::string kind_of_master(netlink::Bytes info) {
    while (const auto* attribute = netlink::next_attribute(info))
        if ((attribute->nla_type & NLA_TYPE_MASK) == IFLA_INFO_SLAVE_KIND)
            return text_of(netlink::payload(attribute));
    return {};
}

struct LinkRequest {
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
    link.index = static_cast<std::uint32_t>(found.ifi_index);
    link.type = found.ifi_type;
    bool has_master = false;
    bool in_vrf = false;
    while (const auto* attribute = netlink::next_attribute(*rest)) {
        const auto value = netlink::payload(attribute);
        switch (attribute->nla_type & NLA_TYPE_MASK) {
        case IFLA_IFNAME:
            link.name = text_of(value);
            break;
        case IFLA_BROADCAST:
            if (link.is_fabric())
                link.pkey = pkey_of(value);
            break;
        case IFLA_MASTER:
            has_master = true;
            break;
        case IFLA_LINKINFO:
            in_vrf = kind_of_master(value) == "vrf";
            break;
        }
    }
    link.enslaved = has_master && !in_vrf;
    return link;
}

Links::Links()
  : socket_(NETLINK_ROUTE) {}

Result<Link, int> Links::find(std::uint32_t interface) {
    if (const int error = ask(0, interface); error != 0)
        return fail(int{error});
    return netlink::receive_answer(socket_, sequence_, parse_link);
}

Result<std::vector<Link>, int> Links::list() {
    if (const int error = ask(NLM_F_DUMP, 0); error != 0)
        return fail(int{error});
    alignas(nlmsghdr) std::array<std::uint8_t, 32768> buffer;
    std::vector<Link> links;
    const auto add = [&](netlink::Bytes message) {
        auto link = parse_link(message, sequence_);
        if (!link)
            return int{link.error()};
        links.push_back(std::move(*link));
        return 0;
    };
    // The kernel continues the dump during each receive, so nothing waits.
    if (const int error = netlink::receive_dump(socket_, sequence_, buffer, MSG_DONTWAIT, add);
        error != 0)
        return fail(int{error});
    return links;
}

int Links::ask(std::uint16_t flags, std::uint32_t interface) {
    LinkRequest request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_GETLINK;
    request.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    request.header.nlmsg_seq = ++sequence_;
    request.body.ifi_index = static_cast<int>(interface);
    return socket_.send({reinterpret_cast<const std::uint8_t*>(&request), sizeof request});
}

LinkNotices::LinkNotices()
  : socket_(NETLINK_ROUTE) {
    const int group = RTNLGRP_LINK;
    if (::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        throw std::system_error(errno, std::generic_category(), "hearing of network interfaces");
}

void LinkNotices::discard() {
    constexpr unsigned most_at_a_time = 256;
    alignas(nlmsghdr) std::array<std::uint8_t, 32768> buffer;
    for (unsigned i = 0; i < most_at_a_time; ++i)
        if (const auto length = socket_.receive(buffer, MSG_DONTWAIT);
            !length && length.error() == EAGAIN)
            return;
}

} // namespace ubf
