#include "config/scope.hpp"

#include <algorithm>

namespace ubf {

Scope::Why Scope::of(Protocol protocol, Port port, std::string_view interface,
                     bool is_fabric) const {
    const auto& side = is_fabric && fabric ? *fabric : ethernet;
    if (contains(side.exempt_ports, protocol, port))
        return Why::exempt_port;
    if (std::ranges::none_of(side.ports,
                             [&](const PortRange& range) { return range.contains(port); }))
        return Why::other_port;
    const bool by_name = !is_fabric && !interfaces.are_all() && !interface.empty();
    return by_name && !interfaces.watches(interface) ? Why::other_interface : Why::watched;
}

Scope scope_of(const Config& config, Port unprivileged_port_start) {
    const auto filled = [&](std::vector<PortRange> ports) {
        if (ports.empty())
            ports = {{unprivileged_port_start, 65535}};
        return ports;
    };
    Scope scope{config.scope.interfaces,
                {filled(config.scope.ports), config.scope.exempt_ports},
                std::nullopt};
    if (config.fabric.enabled)
        scope.fabric = {filled(config.fabric.ports), config.fabric.exempt_ports};
    return scope;
}

} // namespace ubf
