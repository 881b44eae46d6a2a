#include "config/portal_people.hpp"

#include <algorithm>

namespace ubf {
namespace {

bool is_exempt(Uid user, const Policy& policy) {
    return std::ranges::any_of(policy.exempt_connectors, [&](const Exemption& exemption) {
        return exemption.users.contains(user);
    });
}

} // namespace

bool may_speak_for(Uid user, const Portal& portal, const Policy& policy,
                   const Policy& fabric_policy) {
    return user != Uid{0} && !portal.is_user(user) &&
           std::ranges::any_of(portal.on_behalf,
                               [&](const UidRange& range) { return range.contains(user); }) &&
           !is_exempt(user, policy) && !is_exempt(user, fabric_policy);
}

} // namespace ubf
