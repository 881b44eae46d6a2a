// What the ruleset depends on beside the configuration, found out in one place for both programs.
#pragma once

#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <string>

namespace ubf::nft {

// Asks the system, and tries at the kernel each expression that the ruleset takes; nothing stays of
// it. Throws NftError when that can't be found out, as without CAP_NET_ADMIN.
Environment probe(const Config& config, Installer& installer);

// "the kernel lacks ...; load them with modprobe"; empty where it lacks nothing.
std::string shortfall(const Environment& environment);

} // namespace ubf::nft
