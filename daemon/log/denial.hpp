// What is to be told of a refused flow.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

namespace ubf {

struct Denial {
    Flow flow; // connector to listener
    Reason reason;
    Owner connector;
    Owner listener;
};

} // namespace ubf
