// A netlink socket. Owns its descriptor; sends and receives whole datagrams.
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <span>

namespace ubf {

class NetlinkSocket {
  public:
    // bus: NETLINK_SOCK_DIAG, NETLINK_NETFILTER, ... Throws std::system_error.
    explicit NetlinkSocket(int bus);
    // One that somebody else opened and bound.
    explicit NetlinkSocket(UniqueFd fd)
      : fd_(std::move(fd)) {}

    int fd() const { return fd_.get(); }
    // Its address on the bus; 0 where it has none.
    std::uint32_t port_id() const;
    // As large as asked for, whatever net.core.rmem_max says, where CAP_NET_ADMIN allows it.
    void set_receive_buffer(int bytes);

    // 0, or the errno.
    int send(std::span<const std::uint8_t> message);
    // The length of what came, or the errno: EAGAIN when nothing waits (with MSG_DONTWAIT), ENOBUFS
    // when the kernel had to drop messages, EMSGSIZE when the buffer is too small. A message that
    // doesn't come from the kernel is skipped.
    Result<std::size_t, int> receive(std::span<std::uint8_t> buffer, int flags = 0);
    // What the kernel says to a request with NLM_F_ACK of that number, which is there when send()
    // returns; answers to it and to older ones, which come before, are skipped. 0, or the errno.
    int receive_acknowledgement(std::uint32_t sequence);

  private:
    UniqueFd fd_;
};

} // namespace ubf
