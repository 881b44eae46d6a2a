// Notices that a UDP socket of this network namespace is gone (linux/sock_diag.h,
// SKNLGRP_INET_UDP_DESTROY and its IPv6 sibling). A cookie is never used again.
#pragma once

#include "base/types.hpp"
#include "netlink/socket.hpp"

#include <functional>

namespace ubf {

class DestroyNotices {
  public:
    // Throws std::system_error.
    DestroyNotices();

    int fd() const { return socket_.fd(); }
    // Calls `gone` for each socket of which a notice waits. False when notices were lost: then any
    // socket may be gone.
    bool receive(const std::function<void(Cookie)>& gone);

  private:
    NetlinkSocket socket_;
};

} // namespace ubf
