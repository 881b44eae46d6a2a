// The answers that peers still rely on: owners of UDP sockets, and users' labels. A peer is
// notified when one stops being true. A notice is retransmitted until acknowledged, a few times at
// most.
//
// Users share the room: if it is full, the oldest entry of the user with most of them is evicted.
// The peer is not notified then. It decides such a flow again by itself: UDP within seconds, TCP
// within ten minutes (flow_book.cpp).
#pragma once

#include "daemon/core/event_loop.hpp"
#include "ident/wire.hpp"

#include <functional>
#include <list>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ubf::ident {

class ToldFlows {
  public:
    struct Told {
        Path path;
        std::uint32_t interface;
    };
    // Path: from us to the peer.
    struct Notice {
        Gone gone;
        Path path;
        std::uint32_t interface;
    };

    // The peer was told that this socket is the user's, or which labels the user carries. Both
    // return how many flows were evicted.
    std::size_t add(Cookie cookie, Uid uid, const Flow& flow, const Path& path,
                    std::uint32_t interface);
    std::size_t add_labelled(Cookie cookie, Uid uid, const Flow& flow, const Path& path,
                             std::uint32_t interface, TimePoint now);
    // The notices to send now; due() has their retransmissions.
    std::vector<Notice> gone(Cookie cookie, TimePoint now);
    std::vector<Notice> all_gone(TimePoint now);
    // Whether the socket of a flow is still there. Other flows need no notice.
    using StillThere = std::function<bool(const Flow&, const Told&)>;
    // The labels of this user changed since peers were told.
    std::vector<Notice> withdrawn(Uid uid, TimePoint now, const StillThere& still_there);
    // The users whose labels peers were told.
    std::vector<Uid> labelled() const;
    // Forgets labels of sockets that are gone, a few at a time.
    void look_after(TimePoint now, const StillThere& still_there);
    void seen(Nonce nonce, const Path& path); // path: from the peer to us

    // The notices to retransmit now, a few at a time.
    std::vector<Notice> due(TimePoint now);
    std::optional<TimePoint> next() const; // of due() and look_after()

    std::size_t sockets() const { return sockets_.size(); }
    std::size_t labelled_flows() const { return labels_.size(); }

    static constexpr std::size_t most = 65536;          // flows of sockets, and notices
    static constexpr std::size_t most_labelled = 32768; // flows
    static constexpr std::size_t most_at_once = 256;
    static constexpr std::chrono::seconds look_pause{1};
    static constexpr std::chrono::seconds looked_at_every{30};

  private:
    // Flows of all users; those of each user from the longest unchanged to the newest.
    class Flows {
      public:
        struct Entry {
            Cookie cookie;
            Uid uid;
            Flow flow;
            Told told;
            TimePoint looked{}; // when the socket was there
        };
        using Entries = std::list<Entry>;
        using Sockets = std::unordered_map<Cookie, std::unordered_map<Flow, Entries::iterator>>;

        explicit Flows(std::size_t room)
          : most_(room) {}

        // How many were evicted.
        std::size_t put(Entry entry);
        void remove(Entries::iterator place);
        void touch(Entries::iterator place, TimePoint looked);

        std::size_t size() const { return size_; }
        Sockets& sockets() { return sockets_; }
        std::unordered_map<Uid, Entries>& users() { return users_; }
        const std::unordered_map<Uid, Entries>& users() const { return users_; }

      private:
        const std::size_t most_;
        std::size_t size_ = 0;
        Sockets sockets_;
        std::unordered_map<Uid, Entries> users_;
    };

    struct Unseen {
        Notice notice;
        TimePoint again;
        std::chrono::milliseconds pause;
    };

    Notice notice(const Flow& flow, const Told& told, TimePoint now);

    Flows sockets_{most};
    Flows labels_{most_labelled};
    TimePoint next_look_{};
    std::unordered_map<Nonce, Unseen> unseen_;
    std::set<std::pair<TimePoint, Nonce>> order_; // of these
};

} // namespace ubf::ident
