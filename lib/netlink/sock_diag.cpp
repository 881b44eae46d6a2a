#include "netlink/sock_diag.hpp"

#include "netlink/answer.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

namespace ubf {
namespace {

struct Request {
    nlmsghdr header;
    inet_diag_req_v2 body;
};

void put_address(__be32 (&field)[4], const Address& address, bool v4) {
    if (v4)
        std::memcpy(field, address.v4_bytes().data(), 4);
    else
        std::memcpy(field, address.bytes().data(), 16);
}

Request make_request(const SocketQuery& query, std::uint32_t sequence) {
    const auto& [protocol, local, remote, interface] = query;
    const bool v4 = local.address.is_v4();
    // udp_diag takes the packet's view, source first; tcp_diag the socket's, local first.
    const bool packet_view = protocol == Protocol::udp;
    const Endpoint& first = packet_view ? remote : local;
    const Endpoint& second = packet_view ? local : remote;

    Request request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.header.nlmsg_seq = sequence;
    request.body.sdiag_family = v4 ? AF_INET : AF_INET6;
    request.body.sdiag_protocol = static_cast<std::uint8_t>(protocol);
    request.body.idiag_states = ~0u;
    request.body.id.idiag_sport = htons(first.port);
    request.body.id.idiag_dport = htons(second.port);
    put_address(request.body.id.idiag_src, first.address, v4 && first.address.is_v4());
    put_address(request.body.id.idiag_dst, second.address, v4 && second.address.is_v4());
    request.body.id.idiag_if = interface;
    request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return request;
}

} // namespace

Result<SocketInfo, int> parse_socket(std::span<const std::uint8_t> message,
                                     std::uint32_t sequence) {
    const auto bytes = netlink::answer(message, sequence, SOCK_DIAG_BY_FAMILY);
    if (!bytes)
        return fail(int{bytes.error()});
    inet_diag_msg found{};
    if (bytes->size() < sizeof found)
        return fail(int{EBADMSG});
    std::memcpy(&found, bytes->data(), sizeof found);
    SocketInfo info;
    info.cookie = Cookie{std::uint64_t{found.id.idiag_cookie[1]} << 32 | found.id.idiag_cookie[0]};
    info.uid = Uid{found.idiag_uid};
    info.inode = found.idiag_inode;
    info.state = found.idiag_state;
    info.interface = found.id.idiag_if;
    return info;
}

SockDiag::SockDiag()
  : socket_(NETLINK_SOCK_DIAG) {
    socket_.set_receive_buffer(1 << 20);
}

SockDiag::Found SockDiag::find(const SocketQuery& query) {
    Found found;
    find_some({&query, 1}, {&found, 1});
    return found;
}

void SockDiag::find(std::span<const SocketQuery> queries, std::span<Found> found) {
    for (std::size_t first = 0; first < queries.size(); first += most_at_a_time) {
        const auto count = std::min(most_at_a_time, queries.size() - first);
        find_some(queries.subspan(first, count), found.subspan(first, count));
    }
}

// The kernel answers within sendto(), so this never waits; an older answer, left by a call that
// failed half-way, is skipped by its number.
void SockDiag::find_some(std::span<const SocketQuery> queries, std::span<Found> found) {
    std::array<Request, most_at_a_time> requests;
    const std::uint32_t first = sequence_ + 1;
    for (std::size_t i = 0; i < queries.size(); ++i)
        requests[i] = make_request(queries[i], ++sequence_);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(requests.data());
    int error = socket_.send({bytes, queries.size() * sizeof(Request)});
    std::ranges::fill(found, Found(fail(error != 0 ? error : int{EBADMSG})));

    for (std::size_t left = queries.size(); error == 0 && left > 0;) {
        const int count = answers_.receive(socket_.fd(), left, [&](netlink::Bytes message) {
            auto rest = message;
            const auto* header = netlink::next_message(rest);
            const std::uint32_t number = header == nullptr ? ~0u : header->nlmsg_seq - first;
            if (number >= found.size())
                return;
            found[number] = parse_socket(message, header->nlmsg_seq);
            --left;
        });
        if (count < 0 && count != -EINTR)
            error = -count;
    }
}

int SockDiag::destroy(Protocol protocol, const Endpoint& local, const Endpoint& remote,
                      std::uint32_t interface, Cookie cookie) {
    auto request = make_request({protocol, local, remote, interface}, ++sequence_);
    request.header.nlmsg_type = SOCK_DESTROY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.body.id.idiag_cookie[0] = static_cast<std::uint32_t>(value(cookie));
    request.body.id.idiag_cookie[1] = static_cast<std::uint32_t>(value(cookie) >> 32);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
    if (const int error = socket_.send({bytes, sizeof request}); error != 0)
        return error;
    return socket_.receive_acknowledgement(sequence_);
}

} // namespace ubf
