// The users for whom portals may ask and connect, as ubfd and ubf-connect agree.
#pragma once

#include "config/portal.hpp"
#include "policy/policy.hpp"

namespace ubf {

// Not for root, for a portal, or for a user whom an exemption lets in everywhere.
bool may_speak_for(Uid user, const Portal& portal, const Policy& policy,
                   const Policy& fabric_policy);

} // namespace ubf
