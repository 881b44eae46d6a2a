// The owner behind an address at which nobody is asked.
#pragma once

#include "flow/address.hpp"
#include "owner/owner.hpp"
#include "policy/policy.hpp"

#include <optional>
#include <span>

namespace ubf {

// remote: the other end's address; local: that of this node to which it speaks. Nothing where the
// ubfd of `remote` is asked: it is in one of the peers' ranges, and they all run it but for those
// that the policy names as unready. Outside begins beyond the network on which this node is known.
// A link-local address is next door. And an address of this node that no range lists may have nodes
// as its neighbours.
std::optional<Owner> unasked(const Address& remote, const Address& local,
                             std::span<const Prefix> peers, const Policy& policy);

} // namespace ubf
