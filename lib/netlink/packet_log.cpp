#include "netlink/packet_log.hpp"

#include "base/bytes.hpp"
#include "netlink/message.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>
#include <system_error>

namespace ubf {
namespace {

// IPv6 with a few extension headers, and TCP's own.
constexpr std::uint32_t copy_range = 128;
constexpr std::uint32_t message_size = 512; // with room

std::optional<std::uint32_t> number(netlink::Bytes bytes) {
    return bytes.size() < 4 ? std::nullopt : std::optional(read32(bytes, 0));
}

LoggedPacket parse_log_message(const nlmsghdr* header) {
    LoggedPacket packet;
    auto rest = netlink::payload(header, sizeof(nfgenmsg));
    while (const auto* attribute = netlink::next_attribute(rest)) {
        const auto bytes = netlink::payload(attribute);
        switch (attribute->nla_type & NLA_TYPE_MASK) {
        case NFULA_UID:
            if (const auto uid = number(bytes))
                packet.uid = Uid{*uid};
            break;
        case NFULA_IFINDEX_OUTDEV:
            packet.interface = number(bytes).value_or(0);
            break;
        case NFULA_PAYLOAD:
            packet.bytes = bytes;
            break;
        default: // the kernel says more than we need
            break;
        }
    }
    return packet;
}

} // namespace

void parse_log_messages(std::span<const std::uint8_t> datagram,
                        const std::function<void(const LoggedPacket&)>& each) {
    while (const auto* header = netlink::next_message(datagram))
        if (header->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
            each(parse_log_message(header));
}

PacketLog::PacketLog(std::uint16_t group)
  : socket_(NETLINK_NETFILTER) {
    constexpr std::uint32_t sequence = 1;
    alignas(nlmsghdr) std::array<std::uint8_t, 256> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = sequence;
    auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
    header->nfgen_family = AF_UNSPEC;
    header->version = NFNETLINK_V0;
    header->res_id = htons(group);
    nfulnl_msg_config_cmd command{};
    command.command = NFULNL_CFG_CMD_BIND;
    mnl_attr_put(message, NFULA_CFG_CMD, sizeof command, &command);
    nfulnl_msg_config_mode mode{};
    mode.copy_range = htonl(copy_range);
    mode.copy_mode = NFULNL_COPY_PACKET;
    mnl_attr_put(message, NFULA_CFG_MODE, sizeof mode, &mode);
    mnl_attr_put_u32(message, NFULA_CFG_QTHRESH, htonl(1)); // each at once
    mnl_attr_put_u32(message, NFULA_CFG_NLBUFSIZ, htonl(message_size));

    int error = socket_.send({buffer.data(), message->nlmsg_len});
    if (error == 0)
        error = socket_.receive_acknowledgement(sequence);
    if (error != 0)
        throw std::system_error(error, std::generic_category(),
                                fmt::format("binding log group {} of netfilter", group));
    socket_.set_receive_buffer(1 << 20);
    const int on = 1;
    ::setsockopt(socket_.fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
}

bool PacketLog::receive(const std::function<void(const LoggedPacket&)>& each) {
    constexpr std::size_t most = 32;
    return batch_.receive(socket_.fd(), most,
                          [&](netlink::Bytes datagram) { parse_log_messages(datagram, each); }) > 0;
}

} // namespace ubf
