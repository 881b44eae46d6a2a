// Services of IPVS, the kernel's load balancer, at addresses of this node. IPVS takes their packets
// after our ruleset and forwards them to real servers, other nodes, which judge them. This node has
// no socket for such a service: the kernel is the listener.
//
// A service that may hand packets to this node itself is left out, since nothing would judge them
// any more. Services by firewall mark are left out too, since their packets are not known here.
#pragma once

#include "flow/address.hpp"
#include "flow/flow.hpp"

#include <chrono>
#include <string_view>
#include <vector>

namespace ubf {

struct VirtualService {
    Protocol protocol = Protocol::tcp;
    Endpoint place{}; // port 0: all
    std::vector<Address> servers{};
    bool is_local = false; // one of the servers is this node, as the administrator has it
};

// The text of /proc/net/ip_vs (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show).
std::vector<VirtualService> parse_virtual_services(std::string_view text);

class VirtualServices {
  public:
    // Reads the kernel's list at most once a second, and the first mebibyte of it.
    bool any_at(Protocol protocol, const Endpoint& place);

  private:
    void read();

    std::vector<VirtualService> services_;
    std::chrono::steady_clock::time_point read_{};
};

} // namespace ubf
