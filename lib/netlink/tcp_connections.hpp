// All TCP connections of this network namespace (linux/inet_diag.h): a dump, for who must see them
// all and once. It costs by the number of sockets; nothing that a packet waits for may do it.
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

// Reads a message of a dump of that number. The error is an errno, as parse_socket() has it.
Result<TcpConnection, int> parse_connection(std::span<const std::uint8_t> message,
                                            std::uint32_t sequence);

class TcpConnections {
  public:
    // Throws std::system_error.
    TcpConnections();

    // Calls `each` for every connection that is being made, is there, or is being closed: whatever
    // has two ends, but for what this node's programs have not got an answer to (SYN_SENT) and what
    // is over (TIME_WAIT). 0, or an errno. Those that come, go, or change while it runs may be
    // missing.
    int each(const std::function<void(const TcpConnection&)>& each);

  private:
    int dump(std::uint8_t family, const std::function<void(const TcpConnection&)>& each);

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
    std::vector<std::uint8_t> buffer_;
};

} // namespace ubf
