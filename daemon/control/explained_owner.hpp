// An owner as `ubfctl explain` shows it.
#pragma once

#include "daemon/owners/user_cache.hpp"
#include "owner/owner.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace ubf {

std::string describe(const Owner& owner, UserCache& users);
nlohmann::ordered_json to_json(const Owner& owner, UserCache& users);

} // namespace ubf
