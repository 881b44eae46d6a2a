// Finds out the ruleset's environment, in one place for both programs.
#pragma once

#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <string>

namespace ubf::nft {

// Asks the system, and tries each expression of the ruleset in the kernel; nothing stays. Throws
// NftError if the attempt is not possible, as without CAP_NET_ADMIN.
Environment probe(const Config& config, Installer& installer);

// "the kernel lacks ...; load them with modprobe"; empty if it lacks nothing.
std::string shortfall(const Environment& environment);

} // namespace ubf::nft
