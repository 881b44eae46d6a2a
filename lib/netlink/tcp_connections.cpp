#include "netlink/tcp_connections.hpp"

#include "netlink/answer.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>
#include <sys/time.h>

namespace ubf {
namespace {

constexpr std::uint32_t states = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_RECV | 1u << TCP_FIN_WAIT1 |
                                 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK |
                                 1u << TCP_CLOSING;

Address address_of(std::uint8_t family, const __be32 (&field)[4]) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&field[0]);
    if (family == AF_INET)
        return Address::v4(std::span<const std::uint8_t, 4>(bytes, 4));
    return Address::v6(std::span<const std::uint8_t, 16>(bytes, 16));
}

} // namespace

Result<TcpConnection, int> parse_connection(std::span<const std::uint8_t> message,
                                            std::uint32_t sequence) {
    const auto socket = parse_socket(message, sequence);
    if (!socket)
        return fail(int{socket.error()});
    inet_diag_msg found{}; // complete, since parse_socket() has read it
    std::memcpy(&found, message.data() + NLMSG_HDRLEN, sizeof found);
    const auto& id = found.id;
    return TcpConnection{
        {address_of(found.idiag_family, id.idiag_src), ntohs(id.idiag_sport)},
        {address_of(found.idiag_family, id.idiag_dst), ntohs(id.idiag_dport)},
        *socket,
    };
}

TcpConnections::TcpConnections()
  : socket_(NETLINK_SOCK_DIAG)
  , buffer_(65536) {
    socket_.set_receive_buffer(1 << 20);
    // The kernel answers during the read. A lost answer must not block us forever.
    const timeval patience{5, 0};
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

int TcpConnections::each(const std::function<void(const TcpConnection&)>& each) {
    const int v4 = dump(AF_INET, each);
    const int v6 = dump(AF_INET6, each);
    return v4 != 0 ? v4 : v6;
}

int TcpConnections::dump(std::uint8_t family,
                         const std::function<void(const TcpConnection&)>& each) {
    struct {
        nlmsghdr header;
        inet_diag_req_v2 body;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = ++sequence_;
    request.body.sdiag_family = family;
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = states;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
    if (const int error = socket_.send({bytes, sizeof request}); error != 0)
        return error;
    return netlink::receive_dump(socket_, sequence_, buffer_, 0, [&](netlink::Bytes message) {
        const auto found = parse_connection(message, sequence_);
        if (!found)
            return int{found.error()};
        if (found->remote.port != 0)
            each(*found);
        return 0;
    });
}

} // namespace ubf
