// The tables of others in this network namespace, as far as they get in our way.
#pragma once

#include "base/result.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"

#include <string>
#include <vector>

namespace ubf::nft {

// Each a sentence that names the chain, says what it does to us and what to do about it; sorted.
// Empty where nobody is in our way.
Result<std::vector<std::string>, NftError> disturbances(Connection& connection);

// The same of those that are not in our way, and may be the reason of what users meet: base chains
// on input that can refuse what we allow, and tables that write packet marks.
Result<std::vector<std::string>, NftError> refusals_of_others(Connection& connection);

// That iptables-legacy has tables here, which may refuse as well; nftables does not see its rules.
// Nothing where it has none, or only root may know.
std::vector<std::string> legacy_tables();

} // namespace ubf::nft
