// The sets of the table: the configuration's lists, and ubfd's decisions.
#pragma once

#include "nft/key.hpp"
#include "nft/ruleset.hpp"

#include <chrono>

namespace ubf::nft {

// The most elements of a set, for each family.
inline constexpr std::uint32_t room_for_denied = 16384;
inline constexpr std::uint32_t room_for_listeners = 4096;
inline constexpr std::uint32_t room_for_udp = 65536;
inline constexpr std::uint32_t room_for_seen = 65536;
inline constexpr std::uint32_t room_for_sent = 262144;
inline constexpr std::uint32_t room_for_senders = 65536;
inline constexpr std::uint32_t room_for_limited = 65536;
inline constexpr std::uint32_t room_for_multicast = 256;
inline constexpr std::uint32_t room_for_recognised = 16;

// The lists of the configuration. The fabric has most of them again, under names with this prefix.
inline constexpr const char* fabric_prefix = "fabric_";
inline constexpr const char* set_of_peers = "peers"; // one for each family
inline constexpr const char* set_of_ports = "ports";
inline constexpr const char* set_of_exempt_tcp = "exempt_tcp";
inline constexpr const char* set_of_exempt_udp = "exempt_udp";
inline constexpr const char* set_of_slurm_ports = "slurm_ports";
inline constexpr const char* set_of_slurm_hosts = "slurm_hosts"; // one for each family
inline constexpr const char* set_of_outbound_deny = "outbound_deny";
inline constexpr const char* set_of_protocols = "protocols";
inline constexpr const char* set_of_tunnels = "tunnels"; // of both networks

// Sets that packets or ubfd fill, one for each family. They are named once, for the chains that use
// them and the code that fills them.
inline constexpr const char* set_of_denied = "denied";
inline constexpr const char* set_of_listeners = "exempt_listeners";
inline constexpr const char* set_of_udp = "udp"; // with the prefix of the fabric's sets there
inline constexpr const char* set_of_fabric_udp = "fabric_udp";
inline constexpr const char* set_of_seen = "fabric_seen";
inline constexpr const char* set_of_exempt_places = "exempt_places";
inline constexpr const char* set_of_exempt_holders = "exempt_holders";
inline constexpr const char* set_of_sent = "sent";
inline constexpr const char* set_of_senders = "senders";         // of both families
inline constexpr const char* set_of_new_by_user = "new_by_user"; // of both families
inline constexpr const char* set_of_new_udp_by_user = "new_udp_by_user";
inline constexpr const char* set_of_over_limit = "over_limit"; // of both protocols
inline constexpr const char* set_of_multicast = "multicast";
inline constexpr const char* set_of_recognised = "recognised"; // of both families

inline std::string of_family(std::string_view set, bool v4) {
    return std::string(set) + (v4 ? '4' : '6');
}
inline std::string of_family(std::string_view set, SetType type) {
    return of_family(set, is_v4(type));
}

// The bits of a packet's priority that mark it as recognised (daemon/recognition).
inline constexpr std::uint32_t recognised_mask = 0xffff0000;

// The name of the set of the configured interfaces.
constexpr const char* set_of_interfaces(const WatchedInterfaces& interfaces) {
    return interfaces.except ? "unwatched_interfaces" : "watched_interfaces";
}

// The lease of an allowed UDP flow: ubfd renews it, packets don't. If ubfd has died, or is no
// longer sure that both ends are still there, the lease expires in the kernel.
inline constexpr std::chrono::seconds udp_lease{30};

// A destination of dropped multicast stays in its set for this time after the last datagram.
inline constexpr std::chrono::seconds multicast_kept{60};

// A user over the limit stays in its set for this time after the last connection that was too many.
inline constexpr std::chrono::seconds over_limit_kept{60};

// All sets, filled or not.
std::vector<Set> make_sets(const Config& config, const Environment& environment);

} // namespace ubf::nft
