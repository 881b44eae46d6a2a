// The facts to log about a flow that was refused, or ended.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

#include <cstdint>
#include <string>

namespace ubf {

struct Denial {
    Flow flow; // connector to listener
    Reason reason;
    Owner connector;
    Owner listener;
    std::string labels{}; // how theirs compare, where they were looked at
    bool ended = false;   // it was there before
    std::string note{};   // what else was done, or is known
    // The tries of a scan, of ports where nobody listens, since the last one that was logged.
    std::uint64_t tries = 0;
};

} // namespace ubf
