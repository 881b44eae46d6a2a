// Allowed flows that tests make up.
#pragma once

#include "daemon/gate/allowed_flows.hpp"

#include <chrono>
#include <functional>

namespace ubf::made {

inline constexpr TimePoint start{std::chrono::hours(1)};
inline constexpr Uid alice{1001};
inline constexpr Uid bob{1002};

inline AllowedFlow flow(unsigned number, Uid connector = alice, Reason reason = Reason::same_user,
                        Protocol protocol = Protocol::tcp) {
    AllowedFlow allowed;
    allowed.flow = {protocol,
                    {*Address::parse("10.0.0.1"), static_cast<Port>(number)},
                    {*Address::parse("10.0.0.2"), static_cast<Port>(8000 + number / 65536)}};
    allowed.reason = reason;
    allowed.listener = {OwnerKind::user, alice};
    allowed.connector = {OwnerKind::user, connector};
    allowed.since = start;
    return allowed;
}

inline bool nothing_is_over(const AllowedFlow&) {
    return false;
}

inline AllowedFlows::Added
add(AllowedFlows& flows, const AllowedFlow& allowed, TimePoint now = start,
    const std::function<bool(const AllowedFlow&)>& is_over = nothing_is_over) {
    return flows.add(allowed, false, {}, now, is_over);
}

} // namespace ubf::made
