// The UDP socket of ident: both families, on a privileged port that nobody shares. Several threads
// may send; one receives.
#pragma once

#include "base/unique_fd.hpp"
#include "ident/wire.hpp"

#include <cstdint>
#include <functional>
#include <span>

namespace ubf::ident {

struct Received {
    Path path;                           // to: the very address that it was sent to
    std::uint32_t interface;             // where it came in
    std::span<const std::uint8_t> bytes; // valid during the call
};

class Socket {
  public:
    // Binds the port, or goes on with the socket that had it before, where that is what `kept` is.
    // Throws std::system_error.
    explicit Socket(Port port, UniqueFd kept = {});

    int fd() const { return fd_.get(); }
    // From exactly path.from; the interface matters for link-local addresses. 0, or the errno.
    int send(const Path& path, std::uint32_t interface, std::span<const std::uint8_t> bytes);
    // Calls `each` for what waits, a bounded number of datagrams. Returns how many.
    std::size_t receive(const std::function<void(const Received&)>& each);

  private:
    UniqueFd fd_;
    Port port_;
};

} // namespace ubf::ident
