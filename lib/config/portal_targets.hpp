// The addresses to which portals may ask to connect, as ubfd, ubf-portal and ubf-connect agree.
#pragma once

#include "flow/address.hpp"

#include <vector>

namespace ubf {

struct Config;

struct PortalTargets {
    std::vector<Prefix> listed; // portal.targets; empty: all peers, and this node's own addresses
    std::vector<Prefix> peers;  // on all interfaces but those of the fabric
    std::vector<Prefix> fabric; // empty: the fabric has no ranges of its own

    // here: the address is this node's own.
    bool has(const Address& address, bool here) const;
    // The same; asks the kernel whether the address is this node's own, if that matters.
    bool has(const Address& address) const;
    // Whether a peer has the address on the fabric alone.
    bool is_by_fabric(const Address& address) const;
};

PortalTargets portal_targets(const Config& config);

} // namespace ubf
