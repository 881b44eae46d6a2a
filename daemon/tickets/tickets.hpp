// The tickets of this node's web portals, for all threads that look up who begins a connection.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/tickets/ticket_book.hpp"
#include "owner/lookup.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace ubf {

class Tickets {
  public:
    explicit Tickets(PortalCounters& counters, ReadClock clock = Clock::now)
      : counters_(counters)
      , clock_(std::move(clock)) {}

    // As whom portals run from now on. Sockets of others speak for nobody any more.
    void set_portals(std::span<const Uid> users);
    bool is_portal(Uid uid) const;

    void add(Ticket ticket, TimePoint now);
    void expire(TimePoint now);
    void forget(std::span<const Cookie> gone); // sockets that were destroyed
    std::size_t bound() const { return book_.lock()->bound(); }
    // The sockets that speak for somebody; and how often they changed.
    std::vector<TicketBook::Speaking> speaking() const { return book_.lock()->speaking(); }
    std::uint64_t changes() const { return changes_; }
    void restore(std::span<const TicketBook::Speaking> sockets);
    // From now on, portals may speak for these users alone.
    void keep_those_of(const std::function<bool(Uid)>& users);

    // If the socket at the source of this flow is a portal's and speaks for a user, that user is
    // its owner. A socket that begins to connect spends a ticket, if it may. The clock is read for
    // that: a round that began before the ticket expired is no reason to let it in.
    enum class Use : bool { look, spend };
    void identify(SocketOwner& found, const Flow& flow, Use use);
    // The portal's program behind a socket that speaks for somebody, as far as it is known.
    Process program_of(Cookie socket);

  private:
    static constexpr std::size_t most_users = 16; // as the configuration has them

    PortalCounters& counters_;
    const ReadClock clock_;
    std::array<std::atomic<std::uint32_t>, most_users> users_{}; // root is none: 0 ends them
    Guarded<TicketBook> book_;
    std::atomic<std::uint64_t> changes_{0};
};

} // namespace ubf
