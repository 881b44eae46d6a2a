// The chains of the table, rule by rule.
#pragma once

#include "nft/ruleset.hpp"

namespace ubf::nft {

Chain known_chain(const Config& config);
Chain fabric_known_chain(const Config& config);
// For IPoIB what scope_chain() is for all others.
Chain fabric_chain(const Config& config, const Environment& environment);
Chain scope_chain(const Config& config, const Environment& environment);
Chain fabric_gate_chain(const Config& config);
Chain gate_chain(const Config& config, const Environment& environment);
Chain verdict_chain(const Config& config);
Chain fabric_in_chain(const Config& config);
Chain fabric_out_chain(const Config& config);
Chain fabric_unlisted_chain(const Config& config);
Chain unlisted_chain(const Config& config);
Chain datagrams_out_chain(const Config& config, const Environment& environment);
Chain connections_out_chain(const Config& config, const Environment& environment);
Chain protocols_out_chain(const Config& config);
Chain not_local_chain();
Chain output_chain();

} // namespace ubf::nft
