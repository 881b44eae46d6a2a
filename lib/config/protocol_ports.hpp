// Ports of one protocol, or of both.
#pragma once

#include "flow/flow.hpp"

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

} // namespace ubf
