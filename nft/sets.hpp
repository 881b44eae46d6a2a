// The sets of the table: what the configuration lists, and what ubfd has decided.
#pragma once

#include "nft/ruleset.hpp"

namespace ubf::nft {

// How many elements each family may have.
inline constexpr std::uint32_t room_for_denied = 16384;
inline constexpr std::uint32_t room_for_listeners = 4096;
inline constexpr std::uint32_t room_for_udp = 65536;
inline constexpr std::uint32_t room_for_ended = 262144; // of the last minutes
inline constexpr std::uint32_t room_for_sent = 262144;
inline constexpr std::uint32_t room_for_senders = 65536;

// Those that packets or ubfd fill, one of each family. Named here once, for the chains that look
// into them and for who fills them.
inline constexpr const char* set_of_denied = "denied";
inline constexpr const char* set_of_listeners = "exempt_listeners";
inline constexpr const char* set_of_exempt_places = "exempt_places";
inline constexpr const char* set_of_exempt_holders = "exempt_holders";
inline constexpr const char* set_of_udp = "fabric_udp";
inline constexpr const char* set_of_ended = "fabric_ended";
inline constexpr const char* set_of_sent = "fabric_sent";
inline constexpr const char* set_of_senders = "fabric_senders"; // of both families

// All of them, filled or not.
std::vector<Set> make_sets(const Config& config, const Environment& environment);

} // namespace ubf::nft
