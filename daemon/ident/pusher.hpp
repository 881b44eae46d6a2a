// Tells peers who begins a connection to them, before they ask. The kernel says it of each SYN as
// it goes out (nft's chain push), without holding it up; a peer whose last question had that wish
// is told for a while. Of one thread, ident's; it has no capability.
//
// What is told may allow, and never denies: where it is missing, or doesn't suffice, the peer asks.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/guard.hpp"
#include "ident/socket.hpp"
#include "netlink/packet_log.hpp"

#include <map>
#include <utility>
#include <vector>

namespace ubf::ident {

class Pusher {
  public:
    // Takes CAP_NET_ADMIN. Throws std::system_error.
    Pusher(std::uint16_t group, const Socket& socket, Counters& counters)
      : log_(group)
      , socket_(socket)
      , counters_(counters) {}

    // Longer than the peer goes without asking, so that it does before this ends.
    static constexpr std::chrono::seconds invited_for{60};

    // What a question wished. path: the question's, to us.
    void invite(const Path& path, std::uint32_t interface, TimePoint now);
    void uninvite(const Path& path);
    // Where nobody is to be told, nothing need be read; what comes meanwhile, the kernel drops.
    bool invited() const { return !invitations_.empty(); }
    void skip(); // what came meanwhile
    // By the loop.
    int fd() const { return log_.fd(); }
    void receive(const Terms& terms);

  private:
    using Ends = std::pair<Address, Address>; // ours, and the peer's
    struct Invitation {
        TimePoint until;
        std::uint32_t interface;
        std::vector<Pushed> unsent{};
    };

    void add(const LoggedPacket& packet, const Terms& terms, TimePoint now);
    void send(const Ends& ends, Invitation& invitation, const Terms& terms);

    static constexpr std::size_t most = 16384;

    PacketLog log_;
    const Socket& socket_;
    Counters& counters_;
    std::map<Ends, Invitation> invitations_;
    std::vector<std::pair<const Ends, Invitation>*> unsent_; // those that have some
};

} // namespace ubf::ident
