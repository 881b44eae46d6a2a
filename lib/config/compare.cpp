// The policy of the fabric, and the differences of two configurations that a reload looks at.
#include "config/config.hpp"
#include "config/options.hpp"

#include <fmt/format.h>

namespace ubf {

Policy Config::fabric_policy() const {
    auto result = policy;
    result.same_user = result.same_user && fabric.same_user;
    result.same_group = result.same_group && fabric.same_group;
    result.same_label = result.same_label && fabric.same_label;
    const auto add = [](auto& list, const auto& more) {
        list.insert(list.end(), more.begin(), more.end());
    };
    add(result.exempt_listeners, fabric.exempt_listeners);
    add(result.exempt_connectors, fabric.exempt_connectors);
    return result;
}

bool decide_alike(const Config& a, const Config& b) {
    const auto same_labels = [&] {
        return a.labels.same_sources(b.labels) && a.labels.end_flows == b.labels.end_flows;
    };
    const auto same_fabric = [&] {
        return a.fabric.enabled == b.fabric.enabled && a.fabric_policy() == b.fabric_policy() &&
               a.fabric_peers() == b.fabric_peers() && a.fabric.pkeys == b.fabric.pkeys;
    };
    return a.policy == b.policy && a.observed == b.observed && a.peers.ranges == b.peers.ranges &&
           same_labels() && same_fabric() &&
           a.ident.require_certificates == b.ident.require_certificates &&
           a.identity.authorities == b.identity.authorities &&
           a.identity.classes == b.identity.classes;
}

std::vector<std::string> need_restart(const Config& old, const Config& fresh) {
    std::vector<std::string> names;
    for (const auto& option : config::options())
        if (option.needs_restart != nullptr && option.needs_restart(old, fresh))
            names.push_back(fmt::format("{}.{}", option.section, option.key));
    return names;
}

} // namespace ubf
