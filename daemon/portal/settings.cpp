#include "daemon/portal/settings.hpp"

#include "config/config.hpp"

namespace ubf::portal {

Settings load_settings(const std::filesystem::path& file) {
    // A user that the directory does not have yet is ubfd's to tell of.
    const auto config = load_config(file, Names::look_up_or_list);
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
