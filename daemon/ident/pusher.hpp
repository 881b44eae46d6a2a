// Tells peers who begins a connection to them, before they ask. The kernel says it of each SYN as
// it goes out (nft's chain output), without holding it up; a peer whose last question had that wish
// is told for a while. A thread of its own; while no peer wishes it, the kernel says nothing.
//
// What is told may allow, and never denies: where it is missing, or doesn't suffice, the peer asks.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/ident/guard.hpp"
#include "ident/socket.hpp"
#include "netlink/packet_log.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace ubf::ident {

class Pusher {
  public:
    // Starts the thread. group: of nfnetlink_log. Throws std::system_error, also where another
    // program has the group.
    Pusher(std::uint16_t group, const Socket& socket, std::shared_ptr<const Terms> terms,
           Counters& counters);
    ~Pusher();

    void set_terms(std::shared_ptr<const Terms> terms);
    // By any of ident's threads: what a question wishes that came this way.
    void heed(Wish wish, const Path& path, std::uint32_t interface);
    const Heartbeat& heartbeat() const { return heartbeat_; }

    // Longer than the peer goes without asking, so that it does before this ends.
    static constexpr std::chrono::seconds invited_for{60};

  private:
    using Ends = std::pair<Address, Address>; // ours, and the peer's
    struct Invitation {
        TimePoint until;
        std::uint32_t interface;
        std::vector<Pushed> unsent{};
    };

    void run();
    void invite(const Ends& ends, std::uint32_t interface);
    void uninvite(const Ends& ends);
    void follow_invitations(TimePoint now);
    void receive();
    void add(const LoggedPacket& packet);
    void send(const Ends& ends, Invitation& invitation);

    // Invitations are handed on only where they say something new.
    static constexpr std::chrono::seconds renewed_after{20};
    static constexpr std::size_t most = 16384;

    const std::uint16_t group_;
    const Socket& socket_;
    Counters& counters_;

    std::mutex mutex_;
    std::map<Ends, TimePoint> wishes_; // when they were handed on

    // Of our own.
    std::shared_ptr<const Terms> terms_;
    EventLoop loop_;
    Mailbox mailbox_;
    std::optional<PacketLog> log_; // while somebody is invited
    std::map<Ends, Invitation> invitations_;
    std::vector<std::pair<const Ends, Invitation>*> unsent_; // those that have some
    TimePoint next_look_{};
    bool stopping_ = false;
    Heartbeat heartbeat_{"push"};
    std::thread thread_;
};

} // namespace ubf::ident
