// Dumps all TCP connections of this network namespace (linux/inet_diag.h). The cost grows with the
// number of sockets, so no waiting packet may depend on it.
#pragma once

#include "flow/flow.hpp"
#include "netlink/sock_diag.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace ubf {

struct TcpConnection {
    Endpoint local;
    Endpoint remote;
    SocketInfo socket; // of the local end
};

// Reads a message of a dump of that number. The error is an errno, as for parse_socket().
Result<TcpConnection, int> parse_connection(std::span<const std::uint8_t> message,
                                            std::uint32_t sequence);

class TcpConnections {
  public:
    // Throws std::system_error.
    TcpConnections();

    // Calls `each` for every connection with two ends: being opened, established or being closed.
    // Those in SYN_SENT and TIME_WAIT are left out. 0, or an errno. Connections that begin, end or
    // change meanwhile may be missing.
    int each(const std::function<void(const TcpConnection&)>& each);

  private:
    int dump(std::uint8_t family, const std::function<void(const TcpConnection&)>& each);

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
    std::vector<std::uint8_t> buffer_;
};

} // namespace ubf
