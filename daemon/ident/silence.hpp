// A peer that didn't answer a question of that time, told in the log as often as it is of use.
#pragma once

#include "daemon/ident/peer_table.hpp"
#include "daemon/log/log.hpp"

namespace ubf {

void report_silence_of(const Address& peer, TimePoint asked, PeerTable& peers, Log& log);

} // namespace ubf
