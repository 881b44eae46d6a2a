// The chains of the table, rule by rule.
#pragma once

#include "nft/ruleset.hpp"

namespace ubf::nft {

// After the filters of sites (0, and a little more: firewalld, Docker), and before the kernel
// translates sources (100). No chain fits between these two, and none stands here by chance. A
// chain at the very same number is found and named (neighbours.hpp).
inline constexpr std::int32_t gate_priority = 87;
inline constexpr std::int32_t verdict_priority = gate_priority + 1;

Chain known_chain(const Config& config);
Chain fabric_known_chain(const Config& config);
Chain udp_known_chain(const Config& config);
Chain multicast_chain();
// The counterpart of scope_chain() for IPoIB interfaces.
Chain fabric_chain(const Config& config, const Environment& environment);
Chain slurm_chain(const Config& config);
Chain scope_chain(const Config& config, const Environment& environment);
Chain fabric_gate_chain(const Config& config);
Chain gate_chain(const Config& config, const Environment& environment);
Chain verdict_chain(const Config& config);
Chain fabric_in_chain(const Config& config);
Chain fabric_out_chain(const Config& config);
Chain untracked_out_chain(const Config& config);
Chain fabric_unlisted_chain(const Config& config);
Chain unlisted_chain(const Config& config);
Chain datagrams_out_chain(const Config& config, const Environment& environment);
Chain over_limit_chain(const Config& config);
Chain connections_out_chain(const Config& config);
Chain protocols_out_chain(const Config& config);
Chain not_local_chain();
Chain outbound_deny_chain(const Config& config);
Chain output_chain(const Config& config);

} // namespace ubf::nft
