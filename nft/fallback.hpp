// Rulesets that refuse, for a kernel that lacks a part of the whole one. A missing module must not
// leave a node open.
#pragma once

#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <string>
#include <vector>

namespace ubf::nft {

// Leaves out expressions that need these modules (as in Environment::lacks). A refusal becomes a
// drop, a counter goes, any other rule is left out. The last rule of all, which refuses what
// nothing allowed, needs none of them, so fewer rules allow less. ubfd can't work with the result.
// Pure.
Ruleset reduced(Ruleset ruleset, const std::vector<std::string>& lacks);

// Needs only nf_tables' core, and no sets. Drops every new TCP connection and all UDP to a watched
// port, whatever the interface or peer. Exempts the configuration's exempt ports. Pure.
Ruleset last_resort(const Config& config, const Environment& environment);

// Installs the largest part of the configuration's ruleset that the kernel takes. Returns the
// missing parts, with reason and remedy; empty if nothing is missing. Throws NftError if no
// refusing ruleset could be installed.
// `shape`: changes the ruleset before it is installed.
std::string install_most(Installer& installer, const Config& config,
                         Ruleset (*shape)(Ruleset) = nullptr);

} // namespace ubf::nft
