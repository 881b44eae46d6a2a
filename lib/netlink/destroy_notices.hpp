// Notices that a socket of this network namespace is gone (linux/sock_diag.h,
// SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET_TCP_DESTROY and their IPv6 siblings). A cookie is never
// used again. The kernel tells of no sockets of its own.
#pragma once

#include "base/types.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <functional>

namespace ubf {

class DestroyNotices {
  public:
    // tcp_listeners: only of sockets that have no other end, so that a connection that ends costs
    // us nothing.
    enum class Of : std::uint8_t { udp, tcp_listeners };

    // Hears nothing yet. Throws std::system_error.
    explicit DestroyNotices(Of sockets);

    // What nobody hears, the kernel doesn't even say. 0, or the errno.
    int begin();
    void end();
    bool begun() const { return begun_; }

    int fd() const { return socket_.fd(); }
    // Calls `gone` for each socket of which a notice waits. False when notices were lost: then any
    // socket may be gone.
    bool receive(const std::function<void(Cookie)>& gone);

  private:
    const Of sockets_;
    NetlinkSocket socket_;
    bool begun_ = false;
};

} // namespace ubf
