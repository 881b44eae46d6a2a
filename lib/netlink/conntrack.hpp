// Forgetting flows in the kernel's connection tracking (linux/netfilter/nfnetlink_conntrack.h).
#pragma once

#include "flow/flow.hpp"
#include "netlink/socket.hpp"

namespace ubf {

class Conntrack {
  public:
    // Throws std::system_error.
    Conntrack();

    // Deletes the entry that this flow belongs to, in either direction. 0, or the errno; ENOENT
    // when there is none.
    int forget(const Flow& flow);

  private:
    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace ubf
