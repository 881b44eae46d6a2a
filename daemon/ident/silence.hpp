// Logs that a peer did not answer a question asked at that time; rate-limited.
#pragma once

#include "daemon/ident/peer_table.hpp"
#include "daemon/log/reporter.hpp"

namespace ubf {

void report_silence_of(const Address& peer, TimePoint asked, PeerTable& peers, Reporter& log,
                       TimePoint now);

} // namespace ubf
