// [portal] of ubfd.toml, as far as it is ubf-portal's.
#pragma once

#include "config/config.hpp"
#include "daemon/portal/desk.hpp"

#include <filesystem>
#include <optional>

namespace ubf::portal {

struct Settings {
    std::filesystem::path socket; // where portals ask
    std::optional<Gid> group;     // of that socket
    std::filesystem::path ubfd;   // where ubfd answers
    Terms terms;
    bool enabled = false; // whether anybody may ask
};

Settings settings_of(const Config& config);

} // namespace ubf::portal
