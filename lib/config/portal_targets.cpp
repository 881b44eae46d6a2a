#include "config/portal_targets.hpp"

#include "config/config.hpp"
#include "flow/own_address.hpp"
#include "portal/target.hpp"

namespace ubf {

bool PortalTargets::has(const Address& address, bool here) const {
    return portal::is_reachable_kind(address) && (listed.empty() || contains(listed, address)) &&
           (here || contains(peers, address) || contains(fabric, address));
}

bool PortalTargets::has(const Address& address) const {
    return has(address, false) || (has(address, true) && interface_of(address));
}

bool PortalTargets::is_by_fabric(const Address& address) const {
    return !contains(peers, address) && contains(fabric, address);
}

PortalTargets portal_targets(const Config& config) {
    PortalTargets targets{config.portal.targets, config.peers.ranges, {}};
    if (config.fabric.enabled)
        targets.fabric = config.fabric.peers;
    return targets;
}

} // namespace ubf
