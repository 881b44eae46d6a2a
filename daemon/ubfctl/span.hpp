// A span of time as a person writes it: 90s, 30m, 12h, 7d.
#pragma once

#include "base/text.hpp"
#include "command.hpp"

#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <string_view>

namespace ubf::ctl {

// Throws UsageError, which names the option.
inline std::chrono::seconds to_span(std::string_view option, const std::string& text) {
    const auto unit = text.empty() ? '?' : text.back();
    const std::int64_t seconds = unit == 's'   ? 1
                                 : unit == 'm' ? 60
                                 : unit == 'h' ? 3600
                                 : unit == 'd' ? 86400
                                               : 0;
    const auto count = ubf::number<std::uint32_t>(
        std::string_view(text).substr(0, text.empty() ? 0 : text.size() - 1));
    if (seconds == 0 || !count)
        throw UsageError(
            fmt::format("{} '{}' is no span of time; write it like 30m, 12h or 7d", option, text));
    return std::chrono::seconds(std::int64_t{*count} * seconds);
}

} // namespace ubf::ctl
