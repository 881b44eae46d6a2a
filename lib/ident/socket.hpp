// The UDP sockets of ident: one group on one privileged port, steered by the datagram's channel
// byte, so that an answer reaches the very thread that asked without a hop over another one.
#pragma once

#include "base/unique_fd.hpp"
#include "ident/wire.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace ubf::ident {

struct Received {
    Path path;                           // to: the very address that it was sent to
    std::uint32_t interface;             // where it came in
    std::span<const std::uint8_t> bytes; // valid during the call
};

class Socket {
  public:
    // One socket for each channel from 0 up, both families. Throws std::system_error.
    static std::vector<Socket> open_group(Port port, unsigned channels);

    int fd() const { return fd_.get(); }
    // From exactly path.from; the interface matters for link-local addresses. 0, or the errno.
    int send(const Path& path, std::uint32_t interface, std::span<const std::uint8_t> bytes);
    // Calls `each` for what waits, a bounded number of datagrams. Returns how many.
    std::size_t receive(const std::function<void(const Received&)>& each);

  private:
    Socket(Port port);

    UniqueFd fd_;
    Port port_;
};

} // namespace ubf::ident
