// Finding and forgetting flows in the kernel's connection tracking
// (linux/netfilter/nfnetlink_conntrack.h).
#pragma once

#include "flow/flow.hpp"
#include "netlink/socket.hpp"

#include <functional>

struct nlmsghdr;

namespace ubf {

// All functions return 0 or an errno, and need CAP_NET_ADMIN.
class Conntrack {
  public:
    // Throws std::system_error.
    Conntrack();

    // ENOENT when the kernel tracks no such flow, in either direction.
    int find(const Flow& flow);
    // Deletes the entry that this flow belongs to; ENOENT when there is none.
    int forget(const Flow& flow);
    // Deletes every entry, of any protocol, whose connection mark is this under the mask.
    int forget_marked(std::uint32_t mark, std::uint32_t mask);

  private:
    using Fill = std::function<void(nlmsghdr*)>;
    // `fill` puts the attributes; only the outcome is of interest.
    int ask(std::uint16_t type, std::uint8_t family, const Fill& fill);

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace ubf
