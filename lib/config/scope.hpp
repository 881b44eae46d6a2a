// Tells whether the ruleset queues a new flow, by the interface it comes in over and by its port.
#pragma once

#include "config/config.hpp"
#include "config/watched_interfaces.hpp"
#include "flow/flow.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace ubf {

struct Scope {
    struct Side {
        std::vector<PortRange> ports;
        std::vector<ProtocolPorts> exempt_ports;
    };
    WatchedInterfaces interfaces; // beside those of the fabric, which all are
    Side ethernet;
    std::optional<Side> fabric; // none: its interfaces are like all others

    enum class Why : std::uint8_t { watched, exempt_port, other_port, other_interface };
    // port: the listener's. interface: its name; empty where it has none any more.
    Why of(Protocol protocol, Port port, std::string_view interface, bool is_fabric) const;
};

// unprivileged_port_start: of the kernel, from which ports are watched where none are listed.
Scope scope_of(const Config& config, Port unprivileged_port_start);

} // namespace ubf
