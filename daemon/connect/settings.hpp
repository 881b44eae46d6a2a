// [portal] of ubfd.toml, as far as it is ubf-connect's.
#pragma once

#include "base/types.hpp"
#include "config/portal_targets.hpp"
#include "flow/address.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ubf::connect {

struct Settings {
    std::vector<Uid> portals;        // who may ask and connect
    std::vector<UidRange> on_behalf; // of whom
    PortalTargets targets;
    std::vector<std::string> domains;
    std::optional<Gid> group; // of the sockets

    bool is_portal(Uid uid) const;
    bool is_person(Uid uid) const;
    // As far as the address goes; the listener's ubfd decides.
    bool is_target(const Endpoint& target) const;
};

// Throws ConfigError.
Settings load_settings(const std::filesystem::path& file);

} // namespace ubf::connect
