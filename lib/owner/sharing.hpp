// Tells whether a socket at a port could be an end of a flow. The kernel's lookup names one socket,
// but not always the one to which it delivers (SO_INCOMING_CPU, SO_REUSEPORT with a program of the
// user's). The lookup never names the sender. No I/O.
#pragma once

#include "flow/flow.hpp"
#include "netlink/sock_diag.hpp"

#include <cstdint>

namespace ubf {

// Whether the kernel might deliver a packet of this flow, which came in at this interface, to the
// socket: a UDP socket, or a TCP listener. A socket at another address of the port never counts, or
// it could shut out the right one.
bool could_receive(const BoundSocket& socket, const Flow& flow, std::uint32_t interface);

// Whether the socket is connected to this very sender. Such a UDP socket ranks before all others,
// on whatever CPU, interface and family (compute_score() of net/ipv4/udp.c and net/ipv6/udp.c).
bool is_connected_to(const BoundSocket& socket, const Endpoint& sender);

// Whether the UDP socket could have sent the packet by this interface. The socket's own address
// does not matter: with IP_PKTINFO it sends from any address of the node (ip_cmsg_send(),
// ip6_datagram_send_ctl()). IPv4 may even send by an interface to which the socket is not bound.
// IPv6 does not, but one link to other nodes may be as good as another: only loopback differs. Nor
// does the socket's connected peer matter.
bool could_send(const BoundSocket& socket, const Flow& flow, std::uint32_t interface);

} // namespace ubf
