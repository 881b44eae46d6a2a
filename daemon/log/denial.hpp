// The facts to log about a flow that was refused, or ended.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace ubf {

struct Denial {
    Flow flow; // connector to listener
    Reason reason;
    Owner connector;
    Owner listener;
    std::string labels{};  // how the labels of both compare, if that was checked
    bool ended = false;    // the flow was allowed before
    bool observed = false; // it goes on: the site only observes such flows
    std::string note{};    // further facts
    // The number of tries to reach closed ports (a scan), since the last one that was logged.
    std::uint64_t tries = 0;
    std::uint32_t id = 0;             // by which it is remembered; 0: it is not
    std::optional<Address> told_by{}; // a peer refused it
    // The person who is charged for it, if the user database has named them. Subordinate uids are
    // the person's to whom they are subordinate.
    std::optional<Uid> person{};
};

} // namespace ubf
