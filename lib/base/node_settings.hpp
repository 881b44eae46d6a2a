// Settings of this node that ubfd and ubfctl both ask for.
#pragma once

#include "base/types.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace ubf {

// Whether the kernel limits the rate of "destination unreachable", by which refusals are told: of
// ICMP or ICMPv6.
bool refusals_limited();
// Whether ICMPv6's list of types, like 0-1,3-127, has it.
bool limits_unreachable(std::string_view ratemask);

// The ports that the kernel gives to who connects and asks for none.
std::optional<PortRange> ephemeral_ports();

// Whether the kernel has SELinux on, with or without a policy that it enforces.
bool selinux_is_enabled();
bool selinux_enforces();
// SELinux's type of a context, USER:ROLE:TYPE[:LEVEL]; and that of our own.
std::string selinux_type(std::string_view context);
std::string own_selinux_type();

} // namespace ubf
