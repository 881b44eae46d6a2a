// The UDP sockets of ident, one for each channel. They serve both families, on a privileged port
// that no other program shares. The kernel hands each datagram to the socket of its channel, so an
// answer wakes the very thread that waits for it. Several threads may send and receive.
#pragma once

#include "base/unique_fd.hpp"
#include "ident/wire.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace ubf::ident {

struct Received {
    Path path;                           // to: the datagram's own destination
    std::uint32_t interface;             // where it came in
    std::span<const std::uint8_t> bytes; // valid during the call
};

// Receive buffers, prepared once. Each receiving thread has its own.
class Inbox {
  public:
    Inbox();
    ~Inbox();

  private:
    friend class Socket;
    struct Room;

    std::unique_ptr<Room> room_;
};

class Socket {
  public:
    // Opens one socket for each channel, numbered from 0. Further sockets of channel 0 follow, so
    // that channel 0 has `of_channel_0` in all. The kernel selects one of these by the sender's
    // address, always the same. The last socket receives nothing: it sends from the same port with
    // a buffer of its own. All are bound to the port. If `kept` is bound to it already, it becomes
    // the first socket. Channel 0 also receives the datagrams for channels that don't exist. Throws
    // std::system_error.
    static std::vector<Socket> open(Port port, std::size_t channels, std::size_t of_channel_0 = 1,
                                    UniqueFd kept = {});

    int fd() const { return fd_.get(); }
    // Sends from exactly path.from; the interface matters for link-local addresses. 0, or the
    // errno.
    int send(const Path& path, std::uint32_t interface, std::span<const std::uint8_t> bytes) const;
    // Addresses that answered a datagram with an ICMP error (port unreachable, or a firewall's
    // prohibited), a bounded number. The kernel may report the error to any socket of the port,
    // whichever one sent. The descriptor stays in error until the report is fetched.
    std::vector<Address> refusals() const;
    // Calls `each` for waiting datagrams, a bounded number. Returns whether more may wait.
    bool receive(Inbox& inbox, const std::function<void(const Received&)>& each) const;

  private:
    Socket(UniqueFd fd, Port port)
      : fd_(std::move(fd))
      , port_(port) {}

    UniqueFd fd_;
    Port port_;
};

// Whether send() failed for lack of buffer space in the kernel, and may be tried again later. A
// datagram to a neighbour without a known link address occupies the send buffer for some seconds
// (net/core/neighbour.c).
bool is_want_of_room(int error);

} // namespace ubf::ident
