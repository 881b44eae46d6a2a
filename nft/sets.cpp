#include "nft/sets.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <net/if.h>

namespace ubf::nft {
namespace {

Bytes network(Port port) {
    return {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port & 0xff)};
}

Set::Element element(const PortRange& range) {
    return {network(range.first), network(range.last),
            range.first == range.last ? std::to_string(range.first)
                                      : fmt::format("{}-{}", range.first, range.last)};
}

Set::Element element(const Prefix& prefix) {
    const auto bytes = [&](const Address& address) {
        if (prefix.is_v4())
            return Bytes(address.v4_bytes().begin(), address.v4_bytes().end());
        return Bytes(address.bytes().begin(), address.bytes().end());
    };
    return {bytes(prefix.first()), bytes(prefix.last()), to_string(prefix)};
}

Set::Element element(const std::string& interface) {
    Bytes bytes(IFNAMSIZ);
    std::memcpy(bytes.data(), interface.data(), std::min(interface.size(), bytes.size() - 1));
    return {bytes, bytes, fmt::format("\"{}\"", interface)};
}

Set interfaces(const Config& config) {
    Set set{"interfaces", "watched; none listed: all are", SetType::interface, {}};
    for (const auto& interface : config.scope.interfaces)
        set.elements.push_back(element(interface));
    return set;
}

Set peers(const Config& config, SetType family, std::string name) {
    Set set{std::move(name), "addresses of the nodes that run ubfd", family, {}};
    for (const auto& prefix : config.peers.ranges)
        if (prefix.is_v4() == (family == SetType::ipv4))
            set.elements.push_back(element(prefix));
    return set;
}

Set ports(const Config& config, const Environment& environment) {
    Set set{"ports", "destination ports that are watched", SetType::port, {}};
    for (const auto& range : config.scope.ports)
        set.elements.push_back(element(range));
    if (set.elements.empty())
        set.elements.push_back(element(PortRange{environment.unprivileged_port_start, 65535}));
    return set;
}

Set exempt(const Config& config, bool ProtocolPorts::*protocol, std::string name) {
    Set set{std::move(name), "and of these, not", SetType::port, {}};
    for (const auto& ports : config.scope.exempt_ports)
        if (ports.*protocol)
            set.elements.push_back(element(ports.ports));
    return set;
}

} // namespace

std::vector<Set> make_sets(const Config& config, const Environment& environment) {
    return {interfaces(config),
            peers(config, SetType::ipv4, "peers4"),
            peers(config, SetType::ipv6, "peers6"),
            ports(config, environment),
            exempt(config, &ProtocolPorts::tcp, "exempt_tcp"),
            exempt(config, &ProtocolPorts::udp, "exempt_udp")};
}

} // namespace ubf::nft
