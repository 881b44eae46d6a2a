// Which of the sockets at a port could be an end of a flow. The kernel's lookup names one of them,
// but not always the one to which it delivers (SO_INCOMING_CPU, SO_REUSEPORT with a program of the
// user's), and never the one that sent. No I/O.
#pragma once

#include "flow/flow.hpp"
#include "netlink/sock_diag.hpp"

#include <cstdint>

namespace ubf {

// Whether the kernel might deliver a packet of this flow, which came in at this interface, to the
// socket: a UDP socket, or a TCP listener. A socket at another address of the port never counts, so
// that it can't shut out this one.
bool could_receive(const BoundSocket& socket, const Flow& flow, std::uint32_t interface);

// Whether it is connected to this very sender. Such a UDP socket ranks before all that are not, on
// whatever CPU, interface and family (compute_score() of net/ipv4/udp.c and net/ipv6/udp.c).
bool is_connected_to(const BoundSocket& socket, const Endpoint& sender);

// Whether the UDP socket could have sent it out of this interface. Its own address does not matter:
// by IP_PKTINFO it sends from any address of the node (ip_cmsg_send(), ip6_datagram_send_ctl()).
// IPv4 even sends out of another interface than the one to which the socket is bound; IPv6 doesn't,
// but of other nodes' links one may be as good as another. Nor does it matter whom the socket is
// connected to.
bool could_send(const BoundSocket& socket, const Flow& flow, std::uint32_t interface);

} // namespace ubf
