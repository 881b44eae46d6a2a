#include "daemon/portal/settings.hpp"

namespace ubf::portal {

Settings settings_of(const Config& config) {
    const auto& portal = config.portal;
    Settings settings;
    settings.socket = portal.socket;
    settings.group = portal.group;
    settings.ubfd = config.control.socket.parent_path() / "portal.sock";
    settings.terms.domains = portal.domains;
    settings.terms.targets = portal_targets(config);
    settings.terms.forward = portal.forward;
    settings.terms.source_ports = portal.source_ports;
    settings.enabled = !portal.users.empty();
    return settings;
}

} // namespace ubf::portal
