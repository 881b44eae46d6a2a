// The owner behind an address that is no peer's.
#pragma once

#include "flow/address.hpp"
#include "owner/owner.hpp"

#include <span>

namespace ubf {

// remote: the address that is in none of the peers' ranges; local: that of this node to which it
// speaks. Outside begins beyond the network on which this node is known: a link-local address is
// next door, and an address of this node that no range lists may have nodes as its neighbours.
Owner beyond_peers(const Address& remote, const Address& local, std::span<const Prefix> peers);

} // namespace ubf
