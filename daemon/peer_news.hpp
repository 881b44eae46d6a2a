// Lines for the log about peers whose ubfd or clock differs from ours.
#pragma once

#include "daemon/core/event_loop.hpp"

#include <string>
#include <vector>

namespace ubf {

class PeerTable;

// Each difference is told once in a while.
std::vector<std::string> peer_news(PeerTable& peers, TimePoint now);

} // namespace ubf
