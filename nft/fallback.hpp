// Rulesets that refuse, for a kernel that is not up to the whole one: a node must not stay open for
// what it lacks.
#pragma once

#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <string>
#include <vector>

namespace ubf::nft {

// Without what takes these modules (as Environment::lacks has them): a refusal becomes a drop, a
// counter goes, any other rule is left out. The last rule of all, which refuses what nothing let
// in, takes none of them, so fewer rules let in less. ubfd can't work with it. Pure.
Ruleset reduced(Ruleset ruleset, const std::vector<std::string>& lacks);

// Of nf_tables' core alone, and without sets: what begins a TCP connection to a watched port, and
// all UDP to one, is dropped. It asks for neither interfaces nor peers, and exempts the
// configuration's ports. Pure.
Ruleset last_resort(const Config& config, const Environment& environment);

// Installs the most that the kernel takes of the configuration's ruleset. Returns what is missing
// of it, why, and what to do; empty where nothing is. Throws NftError where nothing could be
// installed that refuses.
// `shape`: what is made of the ruleset before it is installed.
std::string install_most(Installer& installer, const Config& config,
                         Ruleset (*shape)(Ruleset) = nullptr);

} // namespace ubf::nft
