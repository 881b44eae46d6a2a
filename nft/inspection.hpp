// Is the ruleset still as we made it?
#pragma once

#include "base/result.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"
#include "nft/ruleset.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace ubf::nft {

// Whether the table is there, or why that can't be said.
Result<bool, NftError> table_exists(Connection& connection);

// Changes with every change of any ruleset of this network namespace.
Result<std::uint32_t, NftError> generation(Connection& connection);

// What differs from the ruleset, each named as in "rule ubf:gate:queue of chain gate"; empty when
// nothing does. Looks at chains (hook, priority, policy), at rules by id and order but not into
// them, and at sets with their elements.
Result<std::vector<std::string>, NftError> differences(Connection& connection,
                                                       const Ruleset& ruleset);

// Whether one of those is of something that is not there, and what it refused is open; not of
// something more, or of a set with other elements.
bool is_absence(std::string_view difference);

} // namespace ubf::nft
