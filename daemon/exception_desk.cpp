#include "daemon/exception_desk.hpp"

#include "base/json.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>

namespace ubf {

ExceptionDesk::Json ExceptionDesk::allow(const Json& request) {
    const auto now = std::chrono::system_clock::now();
    const auto text = text_of(request, "allow");
    if (is_set(request, "remove")) {
        if (!exceptions_.remove(text))
            return {{"ok", false},
                    {"error",
                     fmt::format("there is no exception '{}'; 'ubfctl allow' lists them", text)}};
        log_.info(fmt::format("the exception '{}' was removed", text));
        change();
    } else if (!text.empty()) {
        constexpr std::int64_t most = std::int64_t{1} << 32;
        const auto seconds =
            std::clamp(number_of<std::int64_t>(request, "for_s"), std::int64_t{0}, most);
        const auto added =
            exceptions_.add(text, text_of(request, "by_uid"), std::chrono::seconds(seconds), now);
        if (!added)
            return {{"ok", false}, {"error", added.error()}};
        log_.info(fmt::format("the exception '{}' holds for {} s (ubfctl allow)", text, seconds));
        change();
    }
    return {{"ok", true}, {"exceptions", exceptions_.list(now)}};
}

void ExceptionDesk::look() {
    const auto expired = exceptions_.take_expired(std::chrono::system_clock::now());
    for (const auto& item : expired)
        log_.info(
            fmt::format("the exception '{}' is over, and flows that it let in end", item.text));
    if (!expired.empty())
        change();
}

void ExceptionDesk::change() {
    if (const auto mistake = exceptions_.save())
        log_.warning(*mistake);
    changed_();
}

} // namespace ubf
