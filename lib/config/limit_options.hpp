// The options of the section [limits].
#pragma once

#include "config/options.hpp"

namespace ubf::config {

Config::Limits::Rate limit_rate(const Value& value);
void set_limited_users(Config& config, const Value& list);

inline constexpr Option limit_options[] = {
    {"limits", "new_connections", "\"off\"",
     "TCP connections that each user may begin here, like \"1000/s burst 8192\"; \"off\": no limit",
     [](Config& c, const Value& v) { c.limits.connections = limit_rate(v); }},
    {"limits", "new_udp_flows", "\"off\"",
     "the same for UDP: first datagrams of flows, like \"1000/s burst 8192\"",
     [](Config& c, const Value& v) { c.limits.udp_flows = limit_rate(v); }},
    {"limits", "users", "[\"1000-4294967294\"]",
     "users to whom these limits apply, each for himself", set_limited_users},
    {"limits", "action", "\"delay\"",
     "what is too fast: \"delay\" (TCP tries again after a second), or \"refuse\"",
     [](Config& c, const Value& v) {
         c.limits.refuse = v.one_of({"delay", "refuse"}) == 1;
     }},
};

} // namespace ubf::config
