// What is to be told of a flow that was refused, or ended.
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
    // Of somebody who tries many ports where nobody listens: how often, since the last that was
    // told.
    std::uint64_t tries = 0;
};

} // namespace ubf
