// Exact socket lookups through inet_diag (linux/inet_diag.h, net/ipv4/inet_diag.c, udp_diag.c): the
// socket to which the kernel itself would deliver a packet of this flow, for the cost of one lookup
// in the kernel's own tables, whatever else is on the node. Never a dump. Many lookups go in one
// system call.
#pragma once

#include "base/result.hpp"
#include "base/types.hpp"
#include "flow/flow.hpp"
#include "netlink/batch.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <span>

namespace ubf {

struct SocketInfo {
    Cookie cookie{};
    Uid uid{};                   // of the socket's creator (or who fchown()ed it)
    std::uint32_t inode = 0;     // 0: no file, as of the kernel's own sockets and orphans
    std::uint8_t state = 0;      // TCP_LISTEN, ... of netinet/tcp.h
    std::uint32_t interface = 0; // that it is bound to, or 0
};

// What a message of the kernel says, to a request of that number. The error is an errno: ENOMSG
// when it answers another request, EBADMSG when it doesn't fit the format, or what the kernel said.
Result<SocketInfo, int> parse_socket(std::span<const std::uint8_t> message, std::uint32_t sequence);

// local: the end on this node. remote: the other end; the wildcard with port 0 finds TCP listeners
// only. interface: where the packet came in, 0 for none.
struct SocketQuery {
    Protocol protocol{};
    Endpoint local{};
    Endpoint remote{};
    std::uint32_t interface = 0;
};

class SockDiag {
  public:
    // The error is an errno; ENOENT means that there is no such socket.
    using Found = Result<SocketInfo, int>;

    SockDiag();

    Found find(const SocketQuery& query);
    // Of each query, in their order; found must be as long.
    void find(std::span<const SocketQuery> queries, std::span<Found> found);
    // Ends a socket that find() found: its owner sees ECONNABORTED, and a TCP peer a reset. Takes
    // CAP_NET_ADMIN. 0, or an errno; ENOENT where it is gone, or another's by now, and EOPNOTSUPP
    // where the kernel can't (CONFIG_INET_DIAG_DESTROY).
    int destroy(Protocol protocol, const Endpoint& local, const Endpoint& remote,
                std::uint32_t interface, Cookie cookie);

  private:
    static constexpr std::size_t most_at_a_time = 64; // whose answers fit the socket's buffer
    static constexpr std::size_t answer_size =
        512; // an inet_diag_msg and its attributes, with room

    void find_some(std::span<const SocketQuery> queries, std::span<Found> found);

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
    netlink::Batch<most_at_a_time, answer_size> answers_;
};

} // namespace ubf
