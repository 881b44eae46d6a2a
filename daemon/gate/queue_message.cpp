#include "daemon/gate/queue_message.hpp"

#include "netlink/message.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <optional>

namespace ubf {
namespace {

using netlink::Bytes;

// The kernel's structures, where the bytes are enough for one.
template<typename T>
std::optional<T> read(Bytes bytes) {
    T value;
    if (bytes.size() < sizeof value)
        return std::nullopt;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

std::optional<PacketMessage> parse_packet_message(const nlmsghdr* header) {
    std::optional<nfqnl_msg_packet_hdr> packet;
    PacketMessage message{};
    auto rest = netlink::payload(header, sizeof(nfgenmsg));
    while (const auto* attribute = netlink::next_attribute(rest)) {
        const auto bytes = netlink::payload(attribute);
        switch (attribute->nla_type & NLA_TYPE_MASK) {
        case NFQA_PACKET_HDR:
            packet = read<nfqnl_msg_packet_hdr>(bytes);
            break;
        case NFQA_MARK:
            message.mark = ntohl(read<std::uint32_t>(bytes).value_or(0));
            break;
        case NFQA_IFINDEX_INDEV:
            message.interface = ntohl(read<std::uint32_t>(bytes).value_or(0));
            break;
        case NFQA_CT:
            message.tracked = bytes;
            break;
        case NFQA_PAYLOAD:
            message.bytes = bytes;
            break;
        default: // the kernel says more than we need
            break;
        }
    }
    if (!packet)
        return std::nullopt; // nothing to judge: without an id there is no packet
    message.id = ntohl(packet->packet_id);
    return message;
}

std::optional<ErrorMessage> parse_error_message(const nlmsghdr* header) {
    const auto error = read<nlmsgerr>(netlink::payload(header));
    if (!error || error->error > 0 || error->error <= -4096)
        return std::nullopt;
    return ErrorMessage{-error->error};
}

} // namespace

void parse_queue_messages(std::span<const std::uint8_t> datagram,
                          std::vector<QueueMessage>& messages) {
    while (const auto* header = netlink::next_message(datagram)) {
        if (header->nlmsg_type == NLMSG_ERROR) {
            if (const auto error = parse_error_message(header))
                messages.emplace_back(*error);
        } else if (header->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
            if (const auto packet = parse_packet_message(header))
                messages.emplace_back(*packet);
        }
    }
}

} // namespace ubf
