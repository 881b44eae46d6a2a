// Sums refusals up: groups that a site can decide about, each with its users, ports and programs.
// No I/O.
#pragma once

#include "refusal.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ubf::ctl {

// Refusals by the same rule, of the same user's servers or of none.
struct RefusalGroup {
    std::string verb;
    Reason reason = Reason::internal_error;
    std::string protocol;
    std::optional<std::uint32_t> listener; // the user
    std::string listener_kind;
    std::uint64_t flows = 0;
    std::set<Port> ports;
    std::set<Address> places;                          // of the listener
    std::map<std::uint32_t, std::uint64_t> connectors; // flows by user
    std::uint64_t unknown_connectors = 0;              // flows of nobody known
    std::set<Address> sources;                         // of these, and all others
    std::set<std::string> programs;                    // of the listener
    std::optional<std::set<std::uint32_t>> groups;     // that all of them have in common

    // One way in: a connector, a port and a place that were seen together.
    struct Way {
        std::uint32_t connector;
        Port port;
        Address place;
        auto operator<=>(const Way&) const = default;
    };
    std::set<Way> ways;
};

// The largest first.
std::vector<RefusalGroup> group(const std::vector<Refusal>& refusals);

std::string to_text(const RefusalGroup& group, Names& names);
// Lines of a configuration that open exactly what was seen, or comments where no setting does.
std::string suggestion(const std::vector<RefusalGroup>& groups, Names& names);

} // namespace ubf::ctl
