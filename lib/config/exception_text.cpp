#include "config/exception_text.hpp"

#include "base/escape.hpp"
#include "config/config.hpp"

#include <fmt/format.h>
#include <string_view>

namespace ubf {
namespace {

std::string to_text(const UidRange& users) {
    return fmt::format("{}-{}", value(users.first), value(users.last));
}

} // namespace

Result<Exception, std::string> parse_exception(const std::string& text) {
    if (text.find_first_of("\"\\\n") != std::string::npos)
        return fail(
            fmt::format("'{}' is no exception; leave quotes and backslashes out", escape(text)));
    try {
        const auto config =
            parse_config(fmt::format("[policy]\nallow = [\"{}\"]\n", text), "allow");
        return config.policy.exceptions.at(0);
    } catch (const ConfigError& error) {
        const std::string_view what = error.what();
        const auto key = what.find("policy.allow: ");
        return fail(std::string(key == std::string_view::npos ? what : what.substr(key)));
    }
}

std::string with_uids(const std::string& text, const Exception& exception) {
    return fmt::format("{}>{}{}", to_text(exception.connectors), to_text(exception.listeners),
                       text.substr(text.rfind(' ')));
}

} // namespace ubf
