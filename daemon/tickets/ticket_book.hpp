// The tickets of web portals. A portal asks before it connects for a user; a ticket remembers the
// answer until the connection comes. The first socket that fits spends the ticket, and speaks for
// that user on that connection. Its program may end the connection and begin another with the same
// socket (connect(2), AF_UNSPEC): that takes a ticket of its own. Pure memory: the caller gives the
// time.
//
// - tickets: 4,096, of these 512 for one user and 64 to one target; of the user who has the most of
//   them, the oldest gives way
// - sockets that speak for somebody: 65,536; the oldest gives way, and is the portal's own again,
//   which can only deny
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace ubf {

// The user for whom a portal's socket speaks.
struct Bearer {
    Uid user{};
    std::shared_ptr<const Process> program{}; // of the portal
};

struct Ticket {
    Uid portal{};      // whose connection it is for
    Endpoint target{}; // as the socket has it
    Bearer bearer{};
    std::optional<Endpoint> source{}; // from there alone
    TimePoint expires{};

    bool fits(Uid uid, const Flow& flow, TimePoint now) const {
        return portal == uid && target == flow.destination && now < expires &&
               (!source || *source == flow.source);
    }
};

class TicketBook {
  public:
    static constexpr std::size_t most = 4096;
    static constexpr std::size_t most_of_one = 512; // user: nobody's flood costs others theirs
    static constexpr std::size_t most_to_one = 64;  // target
    static constexpr std::size_t most_bound = 65536;

    // Tickets that nobody spent in time, and those that gave way.
    struct Lost {
        std::size_t expired = 0;
        std::size_t evicted = 0;
    };
    Lost add(Ticket ticket, TimePoint now);
    Lost expire(TimePoint now);

    // The user for whom this socket speaks already, on this connection.
    std::optional<Bearer> of(Cookie socket, const Flow& flow) const;
    // The same while it opens the connection. So long after the ticket was spent, it opens another
    // one, of the same ends.
    static constexpr std::chrono::seconds most_opening{10};
    std::optional<Bearer> opening(Cookie socket, const Flow& flow, TimePoint now) const;
    // The portal's program, as far as it is known.
    Process program_of(Cookie socket) const;
    // Spends a ticket on a socket that begins to connect: of the ticket's portal, along this flow.
    std::optional<Bearer> spend(Uid portal, const Flow& flow, Cookie socket, TimePoint now);
    bool forget(Cookie socket); // it was destroyed; whether it was known
    // From now on, portals may speak for these users alone. Returns whether a socket spoke for
    // somebody else.
    bool keep_those_of(const std::function<bool(Uid)>& users);

    // The sockets that speak for somebody, the oldest first, for a successor.
    struct Speaking {
        Cookie socket{};
        Flow flow{};
        Bearer bearer{};
    };
    std::vector<Speaking> speaking() const;
    void restore(const Speaking& known) { bind(known, {}); } // it opens nothing any more

    std::size_t size() const { return tickets_.size(); }
    std::size_t bound() const { return bound_.size(); }

  private:
    using Tickets = std::list<Ticket>; // the oldest first
    using Place = Tickets::iterator;

    void remove(Place ticket);
    void remove_oldest_of(Uid user);
    void remove_one_to(const Endpoint& target);
    void remove_one();
    void bind(const Speaking& speaking, TimePoint opening_until);

    struct Bound {
        Flow flow;
        Bearer bearer;
        TimePoint opening_until;
        std::list<Cookie>::iterator place;
    };
    Tickets tickets_;
    std::map<Endpoint, std::vector<Place>> by_target_; // the oldest first
    std::unordered_map<Uid, std::size_t> number_of_;   // tickets, by user
    std::unordered_map<Cookie, Bound> bound_;
    std::list<Cookie> order_; // of these, the oldest first
};

} // namespace ubf
