// Tells who is behind a socket of this node, beyond its uid. The investigator finds it out; tests
// have owners in memory.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/owners/changes.hpp"
#include "ident/wire.hpp"
#include "owner/lookup.hpp"

#include <functional>
#include <optional>

namespace ubf {

class Owners {
  public:
    // in_time: the search is complete. Otherwise the owner's credentials are incomplete: they may
    // allow a flow, but must not deny one.
    using Done = std::function<void(Owner owner, bool in_time)>;

    virtual ~Owners() = default;

    // The user behind the uid, as far as that is known by now.
    virtual Uid account_of(Uid uid) = 0;
    // The users whose labels changed, and when.
    virtual const Changes& changes() const = 0;
    // Whether other listeners may share this TCP port.
    virtual bool may_share(Port port) const = 0;

    // The remembered or recorded owner of this socket; cheap, never waits. If sockets share a port,
    // here and in find(), it is the least that holds for all of them.
    virtual std::optional<Owner> known(const SocketOwner& socket, ident::Role role) = 0;
    // Calls `done` on another thread, when the owner is found or the deadline passes. An owner of
    // kind user then has credentials, maybe empty ones. If too many searches for that user wait,
    // returns false, and does not call `done`.
    virtual bool find(const SocketOwner& socket, ident::Role role, TimePoint deadline,
                      Done done) = 0;
    // The same, now: the caller waits.
    virtual Owner find_now(const SocketOwner& socket, ident::Role role, TimePoint deadline) = 0;
};

} // namespace ubf
