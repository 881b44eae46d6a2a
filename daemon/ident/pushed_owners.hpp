// What peers told us ahead of the SYNs that they send us (pusher.hpp), until a worker takes it. Any
// worker reads what comes, for nobody knows in whose queue a SYN will be.
//
// What is told is of one very packet: its flow and its sequence number, which whoever takes the
// port next can't repeat.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/bounded_peers.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/replay_window.hpp"
#include "ident/socket.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace ubf::ident {

class PushedOwners {
  public:
    // The uid of the SYN's sender, whose flow was waited for.
    using Tell = std::function<void(const Flow&, Uid)>;
    enum class Waiter : std::uint8_t {};

    // socket: that of Channel::pushes.
    PushedOwners(const Socket& socket, PeerTable& peers, Counters& counters)
      : socket_(socket)
      , table_(peers)
      , counters_(counters) {}

    // tell: called by other workers than that one.
    Waiter add_waiter(Tell tell);

    // --- by any worker ---

    struct Found {
        std::optional<Uid> uid; // it was told already
        bool wait = false;      // it is on its way, and the waiter will be told
    };
    // Neither: the peer must be asked, with the wish to be told from now on, or not to be. (A busy
    // node asks: many questions take one datagram.)
    Found find(const Flow& flow, std::uint32_t sequence, Waiter waiter, bool wish, TimePoint now);
    // It did not come in time: the peer is asked until it does tell again.
    void give_up(const Flow& flow);

    int fd() const { return socket_.fd(); }
    // Whether it is worth to read: some peer was asked to tell.
    bool any() const { return any_.load(std::memory_order_relaxed); }
    // Reads what waits. Those who wait for it are told; `tell` is for that worker itself.
    void receive(Waiter waiter, Inbox& inbox, const Terms& terms, const Tell& tell);

  private:
    struct Owner {
        std::uint32_t sequence;
        Uid uid;
        TimePoint when;
    };
    struct Waiting {
        std::uint32_t sequence;
        Waiter waiter;
    };
    struct Peer {
        TimePoint wished{}; // when it was asked with the wish to be told
        bool tells = false;
    };
    struct Told {
        Waiter waiter;
        const Tell* tell;
        Flow flow;
        Uid uid;
    };

    void handle(const Received& received, const Terms& terms, std::vector<Told>& told);
    void add(const Pushed& pushed, TimePoint now, std::vector<Told>& told);
    void make_room(TimePoint now);

    // A SYN that waits behind a full queue comes later than what was told of it.
    static constexpr std::chrono::seconds kept_for{1};
    static constexpr std::chrono::seconds asked_after{30};
    static constexpr std::size_t most = 16384;

    const Socket& socket_;
    PeerTable& table_;
    Counters& counters_;
    std::atomic<bool> any_{false};

    std::mutex mutex_;
    std::deque<Tell> waiters_; // each stays where it is: some workers begin while others tell
    std::unordered_map<Flow, Owner> owners_;
    std::deque<std::pair<TimePoint, Flow>> order_; // of these, and of some that are taken
    std::unordered_map<Flow, Waiting> waiting_;
    BoundedPeers<Peer> peers_{most}; // proven: that told us something
    ReplayWindow replay_{most / 2};
};

} // namespace ubf::ident
