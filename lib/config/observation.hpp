// The flows that a site only observes: they are decided and logged as ever, but nothing is refused.
// Pure values.
#pragma once

#include "config/protocol_ports.hpp"
#include "config/watched_interfaces.hpp"
#include "flow/address.hpp"
#include "flow/flow.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace ubf {

struct Observation {
    bool all = false;
    std::vector<Prefix> peers{}; // flows with these nodes
    std::vector<InterfacePattern> interfaces{};
    std::vector<ProtocolPorts> ports{}; // of the listener

    bool any() const { return all || !peers.empty() || !interfaces.empty() || !ports.empty(); }
    // flow: from the connector to the listener. remote: the source of its packets. interface: where
    // they come in.
    bool covers(const Flow& flow, const Address& remote, std::string_view interface) const {
        return all || contains(peers, remote) ||
               contains(ports, flow.protocol, flow.destination.port) ||
               std::ranges::any_of(interfaces, [&](const InterfacePattern& pattern) {
                   return pattern.matches(interface);
               });
    }

    bool operator==(const Observation&) const = default;
};

} // namespace ubf
