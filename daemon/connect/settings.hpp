// The settings of ubfd.toml that are ubf-connect's as well.
#pragma once

#include "base/types.hpp"
#include "config/config.hpp"
#include "config/portal.hpp"
#include "config/portal_targets.hpp"
#include "flow/address.hpp"
#include "policy/policy.hpp"

namespace ubf::connect {

struct Settings {
    Portal portal;
    Policy policy; // for its exemptions
    Policy fabric_policy;
    PortalTargets targets;

    bool is_portal(Uid uid) const;
    bool is_person(Uid uid) const;
    // As far as the address goes; the listener's ubfd decides.
    bool is_target(const Endpoint& target) const;
};

Settings settings_of(const Config& config);

} // namespace ubf::connect
