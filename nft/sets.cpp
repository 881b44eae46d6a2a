#include "nft/sets.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <utility>

namespace ubf::nft {
namespace {

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

// Names are padded with zeros in the register.
Set::Element element(const InterfacePattern& pattern) {
    const auto name = pattern.name().substr(0, IFNAMSIZ - 1);
    Bytes first(IFNAMSIZ);
    std::memcpy(first.data(), name.data(), name.size());
    Bytes last = first;
    if (pattern.is_prefix())
        std::fill(last.begin() + static_cast<std::ptrdiff_t>(name.size()), last.end(), 0xff);
    return {first, last, fmt::format("\"{}\"", pattern.text())};
}

Set interfaces(const Config& config) {
    const auto& scope = config.scope.interfaces;
    Set set{set_of_interfaces(scope), scope.except ? "all others are watched" : "none listed: all",
            SetType::interface};
    for (const auto& pattern : scope.listed)
        set.elements.push_back(element(pattern));
    return set;
}

Set outbound_deny(const Config& config) {
    Set set{set_of_outbound_deny, "interfaces on which users begin nothing", SetType::interface};
    for (const auto& pattern : config.scope.outbound_deny)
        set.elements.push_back(element(pattern));
    return set;
}

Set peers(const std::vector<Prefix>& ranges, SetType family, std::string_view name,
          std::string why) {
    Set set{of_family(name, family), std::move(why), family};
    for (const auto& prefix : ranges)
        if (prefix.is_v4() == (family == SetType::ipv4))
            set.elements.push_back(element(prefix));
    return set;
}

Set ports(const std::vector<PortRange>& ranges, const Environment& environment, std::string name,
          std::string why) {
    Set set{std::move(name), std::move(why), SetType::port};
    for (const auto& range : ranges)
        set.elements.push_back(element(range));
    if (set.elements.empty())
        set.elements.push_back(element(PortRange{environment.unprivileged_port_start, 65535}));
    return set;
}

Set exempt(const std::vector<ProtocolPorts>& ranges, bool ProtocolPorts::*protocol,
           std::string name) {
    Set set{std::move(name), "and of these, not", SetType::port};
    for (const auto& range : ranges)
        if (range.*protocol)
            set.elements.push_back(element(range.ports));
    return set;
}

Set protocols(std::vector<std::uint8_t> numbers, std::string name, std::string why) {
    Set set{std::move(name), std::move(why), SetType::protocol};
    numbers.insert(numbers.end(), {IPPROTO_ICMP, IPPROTO_IGMP, IPPROTO_ICMPV6});
    std::ranges::sort(numbers);
    for (const auto number : numbers)
        set.elements.push_back({{number}, {number}, std::to_string(number)});
    return set;
}

// UDP ports of tunnels (IANA's names). A tunnel's datagram keeps the socket of the packet that it
// carries, if any.
Set tunnels() {
    constexpr Port vxlan = 4789;
    constexpr Port vxlan_before_iana = 8472; // Linux's own default
    constexpr Port geneve = 6081;
    constexpr Port wireguard = 51820;
    constexpr Port roce = 4791; // RDMA over Ethernet in software
    Set set{set_of_tunnels, "UDP ports of the kernel's own tunnels", SetType::port};
    for (const Port port : {vxlan, vxlan_before_iana, geneve, wireguard, roce})
        set.elements.push_back(element(PortRange{port, port}));
    return set;
}

std::string on_fabric(const char* set) {
    return std::string(fabric_prefix) + set;
}

// Adds a set for each family.
void add_dynamic(std::vector<Set>& sets, std::string_view name, std::string_view why,
                 std::pair<SetType, SetType> types, std::uint32_t room, bool updated_by_packets) {
    for (const SetType type : {types.first, types.second}) {
        Set set{of_family(name, type), std::string(std::exchange(why, {})), type};
        set.room = room;
        set.updated_by_packets = updated_by_packets;
        sets.push_back(std::move(set));
    }
}

// The sets that the configuration fills.
std::vector<Set> fixed_sets(const Config& config, const Environment& environment) {
    const auto& scope = config.scope;
    const auto& fabric = config.fabric;
    const auto& fabric_peers = config.fabric_peers();
    const char* nodes = "addresses of the nodes that run ubfd";
    const char* nodes_there = "the same on the fabric";
    std::vector<Set> sets{
        interfaces(config),
        peers(config.peers.ranges, SetType::ipv4, set_of_peers, nodes),
        peers(config.peers.ranges, SetType::ipv6, set_of_peers, nodes),
        ports(scope.ports, environment, set_of_ports, "destination ports that are watched"),
        exempt(scope.exempt_ports, &ProtocolPorts::tcp, set_of_exempt_tcp),
        exempt(scope.exempt_ports, &ProtocolPorts::udp, set_of_exempt_udp),
        peers(fabric_peers, SetType::ipv4, on_fabric(set_of_peers), nodes_there),
        peers(fabric_peers, SetType::ipv6, on_fabric(set_of_peers), nodes_there),
        ports(fabric.ports, environment, on_fabric(set_of_ports),
              "destination ports that are watched"),
        exempt(fabric.exempt_ports, &ProtocolPorts::tcp, on_fabric(set_of_exempt_tcp)),
        exempt(fabric.exempt_ports, &ProtocolPorts::udp, on_fabric(set_of_exempt_udp)),
        protocols(scope.protocols, set_of_protocols,
                  "ICMP, IGMP, ICMPv6 and what the site names: they pass"),
        tunnels(),
        protocols(fabric.protocols, on_fabric(set_of_protocols), "the same on the fabric")};

    if (!config.slurm.ports.empty()) {
        const char* hosts = "hosts of the Slurm cluster";
        sets.push_back(
            ports(config.slurm.ports, environment, set_of_slurm_ports, "ports of Slurm's daemons"));
        for (const auto family : {SetType::ipv4, SetType::ipv6})
            sets.push_back(peers(config.slurm.hosts, family, set_of_slurm_hosts, hosts));
    }
    if (!scope.outbound_deny.empty())
        sets.push_back(outbound_deny(config));
    return sets;
}

// The sets that ubfd and the packets fill.
void add_filled_sets(std::vector<Set>& sets, const Config& config) {
    const std::pair flows{SetType::flow4, SetType::flow6};
    add_dynamic(sets, set_of_denied, "UDP flows that ubfd denied a moment ago", flows,
                room_for_denied, false);
    add_dynamic(sets, set_of_listeners, "TCP listeners of exempt users, while they live",
                {SetType::listener4, SetType::listener6}, room_for_listeners, false);
    add_dynamic(sets, set_of_exempt_places, "where these answer from",
                {SetType::place4, SetType::place6}, room_for_listeners, false);
    add_dynamic(sets, set_of_exempt_holders, "and whose sockets they are",
                {SetType::held_place4, SetType::held_place6}, room_for_listeners, false);
    add_dynamic(sets, set_of_udp, "UDP flows that ubfd allowed, until their leases end", flows,
                room_for_udp, false);
    add_dynamic(sets, set_of_fabric_udp, "the same of the fabric", flows, room_for_udp, false);
    add_dynamic(sets, set_of_seen, "those of the fabric that carry packets", flows, room_for_seen,
                true);
    add_dynamic(sets, set_of_sent, "UDP flows that would answer what was sent untracked", flows,
                room_for_sent, true);
    Set senders{set_of_senders, "who begins such, and how fast", SetType::user};
    senders.room = room_for_senders;
    senders.updated_by_packets = true;
    sets.push_back(std::move(senders));
    if (config.limits.any())
        for (const auto& [name, why] :
             {std::pair{set_of_new_by_user, "who begins connections, and how fast"},
              {set_of_new_udp_by_user, "the same for UDP"},
              {set_of_over_limit, "who begins them faster than [limits] says"}}) {
            Set users{name, why, SetType::user};
            users.room = room_for_limited;
            users.updated_by_packets = true;
            sets.push_back(std::move(users));
        }
    add_dynamic(sets, set_of_multicast, "where what was dropped for many listeners went",
                {SetType::place4, SetType::place6}, room_for_multicast, true);
    Set recognised{set_of_recognised, "the priority of packets that the kernel recognised",
                   SetType::priority};
    recognised.room = room_for_recognised;
    sets.push_back(std::move(recognised));
}

} // namespace

std::vector<Set> make_sets(const Config& config, const Environment& environment) {
    auto sets = fixed_sets(config, environment);
    add_filled_sets(sets, config);
    return sets;
}

} // namespace ubf::nft
