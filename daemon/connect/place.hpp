// The Unix socket of a person and a target. Its path says both, so the sockets of a predecessor are
// found again. No I/O.
#pragma once

#include "base/types.hpp"
#include "flow/address.hpp"

#include <compare>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ubf::connect {

struct Place {
    Uid user{};
    Endpoint target;

    auto operator<=>(const Place&) const = default;
};

// Below the broker's folder, like "1001/10.0.0.7_8888". It has no colon, which would end it in
// nginx's configuration.
std::string path_of(const Place& place);
std::optional<Place> place_of(std::string_view user, std::string_view target);

} // namespace ubf::connect
