// The facts that lookups on this node give, for the gate and for explain: one place, so that both
// come to one verdict.
#pragma once

#include "config/observation.hpp"
#include "ident/wire.hpp"
#include "owner/lookup.hpp"
#include "policy/inquiry.hpp"

#include <cstdint>

namespace ubf {

class Owners;
class Sockets;

// An end's owner by uid, as it was looked up. An error that is no answer makes the facts fail.
void note_destination(Facts& facts, const OwnerLookup::Found& found);
void note_source(Facts& facts, const OwnerLookup::Found& found);

// Finds who shares the port of the destination, a TCP listener. They are added to its socket, and
// its credentials are looked for again: the least of them all counts.
void find_sharers(Facts& facts, SocketOwner& destination, std::uint32_t interface, Sockets& sockets,
                  const Owners& owners);

// Whether a peer's answer may have had no room for all groups of this owner.
inline bool may_be_cut(const Owner& owner) {
    return owner.credentials && owner.credentials->groups.size() >= ident::max_groups;
}

// Whether the site only observes this flow, which came in at this interface.
bool is_observed(const Facts& facts, std::uint32_t interface, const Observation& observed,
                 Sockets& sockets);

} // namespace ubf
