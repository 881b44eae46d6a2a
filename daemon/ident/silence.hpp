// A peer that doesn't answer, told in the log as often as it is of use.
#pragma once

#include "daemon/ident/peer_table.hpp"
#include "daemon/log/log.hpp"

namespace ubf {

void report_silence_of(const Address& peer, PeerTable& peers, Log& log);

} // namespace ubf
