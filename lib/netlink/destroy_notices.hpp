// Notices that a socket of this network namespace is gone (linux/sock_diag.h,
// SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET_TCP_DESTROY and their IPv6 siblings). A cookie is never
// used again. The kernel tells of no sockets of its own.
#pragma once

#include "base/types.hpp"
#include "netlink/batch.hpp"
#include "netlink/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

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
    // Puts into `gone` the sockets of which a notice waits, a bounded number. False when notices
    // were lost: then any socket may be gone.
    bool receive(std::vector<Cookie>& gone);

  private:
    static constexpr std::size_t most_at_a_time = 64;

    const Of sockets_;
    NetlinkSocket socket_;
    bool begun_ = false;
    netlink::Batch<most_at_a_time, 512> batch_;
};

} // namespace ubf
