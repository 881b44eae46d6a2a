#include "config/limit_options.hpp"

#include "base/text.hpp"
#include "config/distinct.hpp"

#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <string_view>

namespace ubf::config {

Config::Limits::Rate limit_rate(const Value& value) {
    const auto given = value.string();
    if (given == "off")
        return {};
    constexpr std::uint32_t most = 1000000;
    auto rest = std::string_view(given);
    const auto rate = number<std::uint32_t>(split(rest, '/'));
    const auto burst = number_after<std::uint32_t>("s burst ", rest);
    if (!rate || !burst || *rate == 0 || *rate > most || *burst == 0 || *burst > most)
        value.fail("neither \"off\" nor a limit like \"1000/s burst 8192\"");
    return {*rate, *burst};
}

void set_limited_users(Config& config, const Value& list) {
    constexpr std::size_t most_ranges = 16; // each is a rule
    auto& users = config.limits.users;
    users.clear();
    list.each([&](const Value& item) {
        const auto range = item.uids();
        if (!range)
            return;
        if (users.size() == most_ranges)
            item.fail(fmt::format("more than {} users and ranges", most_ranges));
        add_users(users, *range, item);
    });
}

} // namespace ubf::config
