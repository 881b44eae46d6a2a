#include "netlink/sock_diag.hpp"

#include "netlink/answer.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <system_error>
#include <unordered_map>

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

// --- dumps ---

constexpr std::size_t most_ports = 64;     // of one dump
constexpr std::size_t dump_size = 1 << 15; // the most that the kernel puts into one datagram

struct DumpRequest {
    Request request{};
    nlattr filter{};
    std::array<std::uint8_t, 20 * most_ports> program;
};

// A program of struct inet_diag_bc_op that takes the sockets of these ports. Jumps are relative, in
// bytes. A jump to the program's end takes the socket; a jump 4 bytes further leaves it out.
std::size_t make_filter(std::span<const Port> ports, std::uint8_t* program) {
    struct Block { // local port >= and <= this one, with the port in the `no` of a second op
        inet_diag_bc_op least, port, most, same_port, take;
    };
    static_assert(sizeof(Block) == 20);
    constexpr std::uint8_t op = sizeof(inet_diag_bc_op);
    std::size_t left = ports.size() * sizeof(Block);
    const std::size_t size = left;
    for (const Port port : ports) {
        const bool last = left == sizeof(Block);
        const auto otherwise = [&](std::size_t from) {
            return static_cast<std::uint16_t>(sizeof(Block) - from + (last ? op : 0));
        };
        const Block block{{INET_DIAG_BC_S_GE, 2 * op, otherwise(0)},
                          {INET_DIAG_BC_NOP, op, port},
                          {INET_DIAG_BC_S_LE, 2 * op, otherwise(8)},
                          {INET_DIAG_BC_NOP, op, port},
                          {INET_DIAG_BC_JMP, op, static_cast<std::uint16_t>(left - 16)}};
        std::memcpy(program + (size - left), &block, sizeof block);
        left -= sizeof block;
    }
    return size;
}

Address address_of(const __be32 (&field)[4], bool v6) {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), field, sizeof bytes);
    return v6 ? Address::v6(bytes) : Address::v4(std::span(bytes).first<4>());
}

SocketInfo info_of(const inet_diag_msg& found) {
    SocketInfo info;
    info.cookie = Cookie{std::uint64_t{found.id.idiag_cookie[1]} << 32 | found.id.idiag_cookie[0]};
    info.uid = Uid{found.idiag_uid};
    info.inode = found.idiag_inode;
    info.state = found.idiag_state;
    info.interface = found.id.idiag_if;
    return info;
}

Result<inet_diag_msg, int> parse(netlink::Bytes& bytes) {
    inet_diag_msg found{};
    if (bytes.size() < sizeof found)
        return fail(int{EBADMSG});
    std::memcpy(&found, bytes.data(), sizeof found);
    bytes = bytes.subspan(sizeof found);
    return found;
}

} // namespace

Result<SocketInfo, int> parse_socket(std::span<const std::uint8_t> message,
                                     std::uint32_t sequence) {
    auto bytes = netlink::answer(message, sequence, SOCK_DIAG_BY_FAMILY);
    if (!bytes)
        return fail(int{bytes.error()});
    return parse(*bytes).map(info_of);
}

Result<BoundSocket, int> parse_bound_socket(std::span<const std::uint8_t> message,
                                            std::uint32_t sequence) {
    auto bytes = netlink::answer(message, sequence, SOCK_DIAG_BY_FAMILY);
    if (!bytes)
        return fail(int{bytes.error()});
    const auto found = parse(*bytes);
    if (!found)
        return fail(int{found.error()});
    BoundSocket bound;
    bound.socket = info_of(*found);
    bound.v6 = found->idiag_family == AF_INET6;
    bound.local = {address_of(found->id.idiag_src, bound.v6), ntohs(found->id.idiag_sport)};
    bound.remote = {address_of(found->id.idiag_dst, bound.v6), ntohs(found->id.idiag_dport)};
    // Only listeners and unconnected sockets have this attribute (inet_diag_msg_attrs_fill()).
    while (const auto* attribute = netlink::next_attribute(*bytes))
        if (attribute->nla_type == INET_DIAG_SKV6ONLY)
            bound.v6_only =
                !netlink::payload(attribute).empty() && netlink::payload(attribute).front() != 0;
    return bound;
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

// The kernel answers within sendto(), so this never waits. An older answer, left by a call that
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

int SockDiag::list(Protocol protocol, bool v6, std::span<const Port> ports,
                   std::vector<BoundSocket>& found) {
    for (std::size_t first = 0; first < ports.size(); first += most_ports) {
        const auto count = std::min(most_ports, ports.size() - first);
        if (const int error = list_some(protocol, v6, ports.subspan(first, count), found);
            error != 0) {
            dumps_.reset(); // discards the rest of the dump
            return error;
        }
    }
    return 0;
}

int SockDiag::list_some(Protocol protocol, bool v6, std::span<const Port> ports,
                        std::vector<BoundSocket>& found) {
    try {
        if (!dumps_)
            dumps_.emplace(NETLINK_SOCK_DIAG);
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    DumpRequest dump;
    auto& [header, body] = dump.request;
    std::size_t size = sizeof dump.request;
    header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.nlmsg_seq = ++sequence_;
    body.sdiag_family = v6 ? AF_INET6 : AF_INET;
    body.sdiag_protocol = static_cast<std::uint8_t>(protocol);
    body.idiag_states = protocol == Protocol::tcp ? 1u << TCP_LISTEN : ~0u;
    if (ports.size() == 1) { // the kernel checks this field first
        body.id.idiag_sport = htons(ports.front());
    } else {
        const auto length = sizeof dump.filter + make_filter(ports, dump.program.data());
        dump.filter = {static_cast<std::uint16_t>(length), INET_DIAG_REQ_BYTECODE};
        size += length;
    }
    header.nlmsg_len = static_cast<std::uint32_t>(size);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&dump);
    if (const int error = dumps_->send({bytes, size}); error != 0)
        return error;

    const bool is_only = ports.size() == 1;
    std::unordered_map<Port, std::size_t> listed;
    dumped_.resize(dump_size);
    while (true) { // the kernel's answer is always there
        const auto length = dumps_->receive(dumped_, MSG_DONTWAIT);
        if (!length)
            return length.error();
        netlink::Bytes rest = netlink::Bytes(dumped_).first(*length);
        while (true) {
            const netlink::Bytes message = rest;
            const auto* next = netlink::next_message(rest);
            if (next == nullptr)
                break;
            if (next->nlmsg_type == NLMSG_DONE)
                return 0;
            const auto socket = parse_bound_socket(message, next->nlmsg_seq);
            if (!socket)
                return socket.error();
            if (is_only && found.size() >= most_listed)
                return EMFILE;
            if (is_only || ++listed[socket->local.port] <= most_listed + 1)
                found.push_back(*socket);
        }
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
