#include "daemon/connect/settings.hpp"

#include "base/uid_ranges.hpp"
#include "config/config.hpp"

#include <algorithm>

namespace ubf::connect {

bool Settings::is_portal(Uid uid) const {
    return std::ranges::find(portals, uid) != portals.end();
}

bool Settings::is_person(Uid uid) const {
    return contains(on_behalf, uid);
}

bool Settings::is_target(const Endpoint& target) const {
    constexpr Port first_of_users = 1024;
    return target.port >= first_of_users && targets.has(target.address);
}

Settings load_settings(const std::filesystem::path& file) {
    const auto config = load_config(file, Names::look_up_or_list);
    const auto& portal = config.portal;
    return {portal.users, portal.on_behalf, portal_targets(config), portal.domains, portal.group};
}

} // namespace ubf::connect
