// The section [portal]: web portals that ask before they connect for a person.
#pragma once

#include "base/types.hpp"
#include "flow/address.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

struct Portal {
    std::vector<Uid> users{}; // as whom portals run; empty: there are none. Sorted.
    std::vector<UidRange> on_behalf{{Uid{1000}, Uid{59999}}}; // for whom they may ask
    std::vector<Prefix> targets{};      // empty: peers.ranges, and this node's own addresses
    std::vector<Prefix> peers{};        // nodes with portals, which may ask who listens here
    std::vector<std::string> domains{}; // suffixes of names: lower case, no dot in front
    std::optional<Gid> group{};         // of the socket for portals
    std::chrono::seconds ticket{10};    // how long an answer waits for its connection
    std::vector<Port> source_ports{};   // from which portals may be told to connect; sorted
    std::filesystem::path socket = "/run/ubf/portal/http.sock"; // where portals ask
    std::filesystem::path forward{};                            // of forward files; empty: none

    bool enabled() const { return !users.empty(); }
    bool is_user(Uid uid) const { return std::ranges::binary_search(users, uid); }
    bool operator==(const Portal&) const = default;
};

} // namespace ubf
