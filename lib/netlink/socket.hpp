// A netlink socket. Owns its descriptor; sends and receives whole datagrams.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <functional>
#include <span>

namespace ubf {

class NetlinkSocket {
  public:
    // bus: NETLINK_SOCK_DIAG, NETLINK_NETFILTER, ... Throws std::system_error.
    explicit NetlinkSocket(int bus);
    // Takes over a socket that is open and bound already.
    explicit NetlinkSocket(UniqueFd fd)
      : fd_(std::move(fd)) {}

    int fd() const { return fd_.get(); }
    // The socket's address on the bus; 0 if it has none.
    std::uint32_t port_id() const;
    // If CAP_NET_ADMIN allows it, exceeds net.core.rmem_max.
    void set_receive_buffer(int bytes);

    // 0, or the errno.
    int send(std::span<const std::uint8_t> message);
    // The length of the message, or the errno: EAGAIN if none waits (with MSG_DONTWAIT), ENOBUFS if
    // the kernel had to drop messages, EMSGSIZE if the buffer is too small. A message that doesn't
    // come from the kernel is skipped.
    Result<std::size_t, int> receive(std::span<std::uint8_t> buffer, int flags = 0);
    // Receives the kernel's acknowledgement of the request of that number (NLM_F_ACK), which is
    // there when send() returns. Earlier messages, such as answers to this request and to older
    // ones, go to `other`. 0, or the errno.
    using Other = std::function<void(std::span<const std::uint8_t>)>;
    int receive_acknowledgement(std::uint32_t sequence, const Other& other = {});

  private:
    UniqueFd fd_;
};

} // namespace ubf
