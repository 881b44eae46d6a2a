// Tells whether the kernel still has an allowed flow, and ends it. A TCP connection ends by its
// socket on this node; a UDP flow, by the verdict that the kernel keeps (udp_flows.hpp).
#pragma once

#include "daemon/gate/allowed_flows.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "netlink/sock_diag.hpp"

#include <cstdint>

namespace ubf {

class KernelFlows {
  public:
    explicit KernelFlows(UdpFlows& udp_flows)
      : udp_flows_(udp_flows) {}

    // over: for certain. A TCP connection whose handshake takes its time may look so, too.
    enum class State : std::uint8_t { there, over, not_known };
    State state(const AllowedFlow& allowed);

    // The owner of the socket sees ECONNABORTED and the other end a reset; of UDP, the next
    // datagram is decided as the first one was. Takes CAP_NET_ADMIN. 0, ENOENT where it is over
    // already, or another errno as SockDiag::destroy() has it.
    int end(const AllowedFlow& allowed);

  private:
    Result<SocketInfo, int> connection(const AllowedFlow& allowed);

    UdpFlows& udp_flows_;
    SockDiag sockets_;
};

} // namespace ubf
