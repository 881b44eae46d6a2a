#include "daemon/connect/place.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf::connect {

std::string path_of(const Place& place) {
    auto target = fmt::format("{}:{}", to_string(place.target.address), place.target.port);
    std::ranges::replace(target, ':', '_');
    return fmt::format("{}/{}", value(place.user), target);
}

std::optional<Place> place_of(std::string_view user, std::string_view target) {
    const auto mark = target.rfind('_');
    if (mark == std::string_view::npos)
        return std::nullopt;
    std::string address(target.substr(0, mark));
    std::ranges::replace(address, '_', ':');
    const auto uid = number<std::uint32_t>(user);
    const auto known = Address::parse(address);
    const auto port = number<Port>(target.substr(mark + 1));
    if (!uid || !known || !port)
        return std::nullopt;
    const Place place{Uid{*uid}, {*known, *port}};
    return path_of(place) == fmt::format("{}/{}", user, target) ? std::optional(place)
                                                                : std::nullopt;
}

} // namespace ubf::connect
