#include "daemon/connect/settings.hpp"

#include "config/portal_people.hpp"

namespace ubf::connect {

bool Settings::is_portal(Uid uid) const {
    return portal.is_user(uid);
}

bool Settings::is_person(Uid uid) const {
    return may_speak_for(uid, portal, policy, fabric_policy);
}

bool Settings::is_target(const Endpoint& target) const {
    constexpr Port first_of_users = 1024;
    return target.port >= first_of_users && targets.has(target.address);
}

Settings settings_of(const Config& config) {
    return {config.portal, config.policy, config.fabric_policy(), portal_targets(config)};
}

} // namespace ubf::connect
