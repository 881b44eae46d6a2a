// Exact socket lookups through inet_diag (linux/inet_diag.h, net/ipv4/inet_diag.c, udp_diag.c).
// They find the socket to which the kernel itself would deliver a packet of this flow. Each costs
// one lookup in the kernel's own tables, however many sockets the node has. Many lookups share one
// system call.
//
// If sockets share a port, an exact lookup names only one of them. list() names all, by a dump with
// a filter. Its cost grows with the node's sockets of that protocol.
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
    Uid uid{};                   // of the socket's creator, or as set by fchown()
    std::uint32_t inode = 0;     // 0: no file, as of the kernel's own sockets and orphans
    std::uint8_t state = 0;      // TCP_LISTEN, ... of netinet/tcp.h
    std::uint32_t interface = 0; // that it is bound to, or 0
};

// A socket with its addresses.
struct BoundSocket {
    SocketInfo socket;
    // The wildcard is 0.0.0.0 for AF_INET, and :: for AF_INET6, for which alone v6_only counts.
    Endpoint local;
    Endpoint remote; // that it is connected to; port 0: none
    bool v6 = false; // of family AF_INET6
    bool v6_only = false;
};

// Reads the kernel's answer to a request of that number. The error is an errno: ENOMSG for an
// answer to another request, EBADMSG for a malformed message, or the kernel's error.
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
    // Answers each query, in order. `found` must be as long as `queries`.
    void find(std::span<const SocketQuery> queries, std::span<Found> found);
    // Adds the UDP sockets or TCP listeners of one family at these ports to `found`. 0, or an
    // errno: EMFILE if one port alone is listed and has more than most_listed. If several ports are
    // listed, one that has more is there with one more than that, and its others are missing.
    int list(Protocol protocol, bool v6, std::span<const Port> ports,
             std::vector<BoundSocket>& found);
    static constexpr std::size_t most_listed = 1024;

    // Destroys a socket that find() found: its owner sees ECONNABORTED, and a TCP peer a reset.
    // Needs CAP_NET_ADMIN. 0, or an errno: ENOENT if the socket is gone or replaced by another,
    // EOPNOTSUPP if the kernel lacks CONFIG_INET_DIAG_DESTROY.
    int destroy(Protocol protocol, const Endpoint& local, const Endpoint& remote,
                std::uint32_t interface, Cookie cookie);

  private:
    static constexpr std::size_t most_at_a_time = 64; // their answers fit the socket's buffer
    static constexpr std::size_t answer_size =
        512; // an inet_diag_msg and its attributes, with room

    void find_some(std::span<const SocketQuery> queries, std::span<Found> found);
    int list_some(Protocol protocol, bool v6, std::span<const Port> ports,
                  std::vector<BoundSocket>& found);

    NetlinkSocket socket_;
    // For list(): closing this socket ends a dump early.
    std::optional<NetlinkSocket> dumps_;
    std::vector<std::uint8_t> dumped_; // kept for its capacity
    std::uint32_t sequence_ = 0;
    netlink::Batch<most_at_a_time, answer_size> answers_;
};

} // namespace ubf
