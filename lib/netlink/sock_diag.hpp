// Exact socket lookups through inet_diag (linux/inet_diag.h, net/ipv4/inet_diag.c, udp_diag.c): the
// socket to which the kernel itself would deliver a packet of this flow, for the cost of one lookup
// in the kernel's own tables, whatever else is on the node. Many lookups go in one system call.
//
// An exact lookup names one socket of those that share a port. list() names all of them, by a dump
// with a filter: its cost grows with the sockets of that protocol on the node.
#pragma once

#include "base/result.hpp"
#include "base/types.hpp"
#include "flow/flow.hpp"
#include "netlink/batch.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ubf {

struct SocketInfo {
    Cookie cookie{};
    Uid uid{};                   // of the socket's creator (or who fchown()ed it)
    std::uint32_t inode = 0;     // 0: no file, as of the kernel's own sockets and orphans
    std::uint8_t state = 0;      // TCP_LISTEN, ... of netinet/tcp.h
    std::uint32_t interface = 0; // that it is bound to, or 0
};

// A socket, and the place where it is.
struct BoundSocket {
    SocketInfo socket;
    // A wildcard is 0.0.0.0 for IPv4 alone, and :: for IPv6, to which v6_only belongs.
    Endpoint local;
    Endpoint remote; // that it is connected to; port 0: none
    bool v6 = false; // of family AF_INET6
    bool v6_only = false;
};

// Reads the kernel's answer to a request of that number. The error is an errno: ENOMSG
// when it answers another request, EBADMSG when it doesn't fit the format, or what the kernel said.
Result<SocketInfo, int> parse_socket(std::span<const std::uint8_t> message, std::uint32_t sequence);
Result<BoundSocket, int> parse_bound_socket(std::span<const std::uint8_t> message,
                                            std::uint32_t sequence);

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
    // Adds the UDP sockets or TCP listeners of one family at these ports to `found`. 0, or an
    // errno: EMFILE when there are more than most_listed, of which some are missing then.
    int list(Protocol protocol, bool v6, std::span<const Port> ports,
             std::vector<BoundSocket>& found);
    static constexpr std::size_t most_listed = 1024;

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
    int list_some(Protocol protocol, bool v6, std::span<const Port> ports,
                  std::vector<BoundSocket>& found);

    NetlinkSocket socket_;
    // For list(): to close it ends a dump of which enough is known.
    std::optional<NetlinkSocket> dumps_;
    std::vector<std::uint8_t> dumped_; // kept for its room
    std::uint32_t sequence_ = 0;
    netlink::Batch<most_at_a_time, answer_size> answers_;
};

} // namespace ubf
