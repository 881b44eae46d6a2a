// Checks a ruleset that the administrator imports (ruleset.manage is false), and makes the stand-in
// for a missing one.
#pragma once

#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ubf::nft {

// Adds a rule that no packet reaches. The rule tells the stand-in from an import, even after a
// restart, and an import clears it. Pure.
Ruleset as_stand_in(Ruleset ruleset);

struct Imported {
    enum class State : std::uint8_t {
        complete,
        altered,  // it has something more, or sets with other elements; it still refuses
        gone,     // the table, a chain, a set or a rule is
        stand_in, // gone, and the stand-in is there
    } state;
    // As from Installer::missing(): for the stand-in, if there is one, or else for the ruleset.
    std::vector<std::string> missing;
};

Result<Imported, NftError> look_for_import(Installer& installer, const Ruleset& ruleset);

} // namespace ubf::nft
