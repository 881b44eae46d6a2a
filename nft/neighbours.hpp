// The tables of others in this network namespace, as far as they get in our way.
#pragma once

#include "base/result.hpp"
#include "nft/connection.hpp"
#include "nft/error.hpp"

#include <string>
#include <vector>

namespace ubf::nft {

// Each a sentence that names the chain, says what it does to us and what to do about it; sorted.
// Empty where nobody is in our way. Rules of iptables-legacy are not seen.
Result<std::vector<std::string>, NftError> disturbances(Connection& connection);

} // namespace ubf::nft
