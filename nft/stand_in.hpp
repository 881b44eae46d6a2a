// Where the administrator imports the ruleset (ruleset.manage is false): is it there, and what
// stands in for it while it is not.
#pragma once

#include "nft/installer.hpp"
#include "nft/ruleset.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ubf::nft {

// With one rule more, which no packet reaches: it tells the stand-in from an import, over any
// restart, and an import clears it. Pure.
Ruleset as_stand_in(Ruleset ruleset);

struct Imported {
    enum class State : std::uint8_t {
        complete,
        altered,  // more is in it, or its sets have other elements: it refuses still
        gone,     // the table, a chain, a set or a rule is
        stand_in, // gone, and the stand-in is there
    } state;
    // As Installer::missing() has it: of the ruleset, or where there is one, of the stand-in.
    std::vector<std::string> missing;
};

Result<Imported, NftError> look_for_import(Installer& installer, const Ruleset& ruleset);

} // namespace ubf::nft
