// Notices that a socket of this network namespace is gone (linux/sock_diag.h,
// SKNLGRP_INET_UDP_DESTROY, SKNLGRP_INET_TCP_DESTROY and their IPv6 siblings). A cookie is never
// reused. The kernel's own sockets cause no notice.
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
    // tcp_listeners: only sockets without a remote end, so that the end of a connection costs us
    // nothing.
    enum class Of : std::uint8_t { udp, tcp, tcp_listeners };

    // Receives nothing before begin(). Throws std::system_error.
    explicit DestroyNotices(Of sockets);

    // Subscribes: without a subscriber, the kernel makes no notices at all. 0, or the errno.
    int begin();
    void end();
    bool begun() const { return begun_; }

    int fd() const { return socket_.fd(); }
    // Adds the sockets of waiting notices to `gone`, a bounded number. False if notices were lost:
    // then any socket may be gone.
    bool receive(std::vector<Cookie>& gone);
    // The same, for the ports of these sockets.
    bool receive(std::vector<Port>& freed);
    static constexpr std::size_t most_at_a_time = 64;

  private:
    template<typename Each>
    bool receive_each(Each each);

    const Of sockets_;
    NetlinkSocket socket_;
    bool begun_ = false;
    netlink::Batch<most_at_a_time, 512> batch_;
};

} // namespace ubf
