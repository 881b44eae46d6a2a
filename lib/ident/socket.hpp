// The UDP sockets of ident: both families, on a privileged port that nobody else shares, one for
// each channel. The kernel hands a datagram to the socket of the channel that it goes to, so that
// an answer wakes the very thread that waits for it. Several threads may send and receive.
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
    Path path;                           // to: the very address that it was sent to
    std::uint32_t interface;             // where it came in
    std::span<const std::uint8_t> bytes; // valid during the call
};

// Room for what a socket receives, prepared once. Each thread that receives has its own.
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
    // The sockets of so many channels, which are numbered from 0. Behind them further ones of
    // channel 0, to make so many in all: what a peer sends there comes in at one of these, always
    // the same, by its address. Last, one that nothing comes in at, to send from the same port with
    // room of its own. They are bound to the port; or the first is the one that had it before,
    // where that is what `kept` is. Channel 0 also takes what goes to a channel that is not there.
    // Throws std::system_error.
    static std::vector<Socket> open(Port port, std::size_t channels, std::size_t of_channel_0 = 1,
                                    UniqueFd kept = {});

    int fd() const { return fd_.get(); }
    // From exactly path.from; the interface matters for link-local addresses. 0, or the errno.
    int send(const Path& path, std::uint32_t interface, std::span<const std::uint8_t> bytes) const;
    // Addresses that sent word that nothing sent to them arrives (ICMP's port unreachable, or a
    // firewall's prohibited), a bounded number. The kernel gives that word to any of the sockets of
    // a port, whichever has sent; the descriptor has an error to report until it is fetched.
    std::vector<Address> refusals() const;
    // Calls `each` for what waits, a bounded number of datagrams. Whether more may wait.
    bool receive(Inbox& inbox, const std::function<void(const Received&)>& each) const;

  private:
    Socket(UniqueFd fd, Port port)
      : fd_(std::move(fd))
      , port_(port) {}

    UniqueFd fd_;
    Port port_;
};

// Whether send() failed for want of room in the kernel, and may be tried again in a while. A
// datagram for a neighbour whose link address is not known yet keeps the sender's room for some
// seconds (net/core/neighbour.c).
bool is_want_of_room(int error);

} // namespace ubf::ident
