// Ports of one protocol, or of both.
#pragma once

#include "flow/flow.hpp"

#include <algorithm>
#include <vector>

namespace ubf {

struct ProtocolPorts {
    bool tcp = true;
    bool udp = true;
    PortRange ports;

    // Ports of the RDMA connection manager go with TCP's.
    bool has(Protocol protocol, Port port) const {
        return (protocol == Protocol::udp ? udp : tcp) && ports.contains(port);
    }
    bool operator==(const ProtocolPorts&) const = default;
};

inline bool contains(const std::vector<ProtocolPorts>& all, Protocol protocol, Port port) {
    return std::ranges::any_of(
        all, [&](const ProtocolPorts& ports) { return ports.has(protocol, port); });
}

} // namespace ubf
