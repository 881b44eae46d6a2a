// The names under which systemd keeps ubfd's descriptors.
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <string>

namespace ubf::descriptor {

inline constexpr const char* ident = "ident";
inline constexpr const char* stamp = "stamp"; // links of programs in the kernel
inline constexpr const char* arrive = "arrive";
inline constexpr const char* receivers = "receivers";
inline constexpr const char* senders_v4 = "senders-4";
inline constexpr const char* senders_v6 = "senders-6";
inline constexpr const char* table = "table"; // the socket that owns it

inline std::string queue(std::uint16_t number) {
    return fmt::format("queue-{}", number);
}

} // namespace ubf::descriptor
