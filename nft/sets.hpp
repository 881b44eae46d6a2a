// The sets of the table: what the configuration lists, and what ubfd has decided.
#pragma once

#include "nft/ruleset.hpp"

#include <chrono>

namespace ubf::nft {

// How many elements each family may have.
inline constexpr std::uint32_t room_for_denied = 16384;
inline constexpr std::uint32_t room_for_listeners = 4096;
inline constexpr std::uint32_t room_for_udp = 65536;
inline constexpr std::uint32_t room_for_seen = 65536;
inline constexpr std::uint32_t room_for_sent = 262144;
inline constexpr std::uint32_t room_for_senders = 65536;
inline constexpr std::uint32_t room_for_multicast = 256;
inline constexpr std::uint32_t room_for_recognised = 16;

// Those that packets or ubfd fill, one of each family. Named here once, for the chains that look
// into them and for who fills them.
inline constexpr const char* set_of_denied = "denied";
inline constexpr const char* set_of_listeners = "exempt_listeners";
inline constexpr const char* set_of_udp = "udp"; // with the prefix of the fabric's sets there
inline constexpr const char* set_of_fabric_udp = "fabric_udp";
inline constexpr const char* set_of_seen = "fabric_seen";
inline constexpr const char* set_of_exempt_places = "exempt_places";
inline constexpr const char* set_of_exempt_holders = "exempt_holders";
inline constexpr const char* set_of_sent = "sent";
inline constexpr const char* set_of_senders = "senders"; // of both families
inline constexpr const char* set_of_multicast = "multicast";
inline constexpr const char* set_of_recognised = "recognised"; // of both families

// The bits of a packet's priority that say that it is recognised (daemon/recognition).
inline constexpr std::uint32_t recognised_mask = 0xffff0000;

// Of what the configuration lists.
constexpr const char* set_of_interfaces(const WatchedInterfaces& interfaces) {
    return interfaces.except ? "unwatched_interfaces" : "watched_interfaces";
}

// An allowed UDP flow passes for so long; ubfd renews it, packets don't. The kernel ends it by
// itself where ubfd has died, or can't be sure any more that both ends are still there.
inline constexpr std::chrono::seconds udp_lease{30};

// A destination of dropped multicast stands in its set for so long after the last datagram.
inline constexpr std::chrono::seconds multicast_kept{60};

// All of them, filled or not.
std::vector<Set> make_sets(const Config& config, const Environment& environment);

} // namespace ubf::nft
