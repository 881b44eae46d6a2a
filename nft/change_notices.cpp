#include "nft/change_notices.hpp"

#include "nft/ruleset.hpp"

#include <cerrno>
#include <cstring>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string_view>
#include <sys/socket.h>

namespace ubf::nft {
namespace {

constexpr unsigned most_at_a_time = 256; // datagrams

// Every message except NFT_MSG_NEWGEN names its table in attribute 1.
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
              NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1);

bool is_about_ours(const nlmsghdr* message) {
    auto attributes = netlink::payload(message, sizeof(nfgenmsg));
    while (const auto* attribute = netlink::next_attribute(attributes)) {
        if ((attribute->nla_type & NLA_TYPE_MASK) != NFTA_TABLE_NAME)
            continue;
        const auto bytes = netlink::payload(attribute);
        const auto* text = reinterpret_cast<const char*>(bytes.data());
        return std::string_view(text, ::strnlen(text, bytes.size())) == table_name;
    }
    return false;
}

} // namespace

bool tells_of_change(netlink::Bytes messages, std::uint32_t own) {
    while (const auto* message = netlink::next_message(messages)) {
        const unsigned type = message->nlmsg_type;
        if (NFNL_SUBSYS_ID(type) == NFNL_SUBSYS_NFTABLES && NFNL_MSG_TYPE(type) != NFT_MSG_NEWGEN &&
            message->nlmsg_pid != own && is_about_ours(message))
            return true;
    }
    return false;
}

ChangeNotices::ChangeNotices()
  : socket_(NETLINK_NETFILTER)
  , buffer_(65536) {
    socket_.set_receive_buffer(1 << 20);
}

int ChangeNotices::begin() {
    const int group = NFNLGRP_NFTABLES;
    begun_ =
        ::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0;
    return begun_ ? 0 : errno;
}

void ChangeNotices::end() {
    const int group = NFNLGRP_NFTABLES;
    ::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
    begun_ = false;
}

bool ChangeNotices::receive(std::uint32_t own) {
    bool changed = false;
    for (unsigned i = 0; i < most_at_a_time; ++i) {
        const auto length = socket_.receive(buffer_, MSG_DONTWAIT);
        if (!length && length.error() == EAGAIN)
            break;
        changed |= !length || tells_of_change(netlink::Bytes(buffer_.data(), *length), own);
    }
    return changed;
}

} // namespace ubf::nft
