// Other programs' tables in this network namespace that interfere with ours.
#pragma once

#include "base/result.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"

#include <string>
#include <vector>

namespace ubf::nft {

// Sorted sentences, each naming a chain, its effect on ours and the remedy. Empty if none
// interferes.
Result<std::vector<std::string>, NftError> disturbances(Connection& connection);

// The same for tables that don't interfere, but may explain what users see. These are base chains
// on input that can refuse what we allow, and tables that write packet marks.
Result<std::vector<std::string>, NftError> refusals_of_others(Connection& connection);

// The chains of other tables that give flows another destination (dnat, redirect).
Result<std::vector<std::string>, NftError> translations_of_others(Connection& connection);

// The tables of iptables-legacy, which may refuse as well; nftables does not see their rules. Empty
// if there are none, or if only root may know.
std::vector<std::string> legacy_tables();

} // namespace ubf::nft
