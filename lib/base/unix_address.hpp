// The address of a Unix socket that has a path.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

namespace ubf {

inline constexpr std::size_t most_unix_path = sizeof sockaddr_un::sun_path - 1;

// Nothing if the path is longer than that.
inline std::optional<sockaddr_un> unix_address(std::string_view path) {
    if (path.size() > most_unix_path)
        return std::nullopt;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    return address;
}

} // namespace ubf
