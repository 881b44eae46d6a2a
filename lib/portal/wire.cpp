#include "portal/wire.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "portal/question.hpp"

#include <fmt/format.h>
#include <iterator>
#include <string_view>

namespace ubf::portal {
namespace {

std::optional<Endpoint> endpoint_of(const nlohmann::ordered_json& object, const char* key) {
    return Endpoint::parse(text_of(object, key));
}

Refusal unclear() {
    return {"unavailable", "The firewall's answer makes no sense.", 503};
}

Result<Grant, Refusal> answer_of(const nlohmann::ordered_json& object) {
    auto reason = text_of(object, "reason");
    if (!is_set(object, "allowed")) {
        const auto status = number_of<std::int64_t>(object, "status", 403);
        if (reason.empty())
            reason = "unavailable";
        return fail(Refusal{std::move(reason), text_of(object, "explain"),
                            status >= 400 && status < 600 ? static_cast<unsigned>(status) : 403});
    }
    const auto address = endpoint_of(object, "address");
    if (!address || address->port == 0 || !is_reachable_kind(address->address))
        return fail(unclear());
    return Grant{std::move(reason), *address, endpoint_of(object, "source")};
}

bool skip(std::string_view& text, std::string_view start) {
    if (!text.starts_with(start))
        return false;
    text.remove_prefix(start.size());
    return true;
}

// A grant in the very form in which ubfd writes it. Most replies are that, and a JSON tree costs
// more than the rest of a question.
std::optional<Reply> parse_plain_grant(std::string_view line) {
    if (!skip(line, R"({"id":)"))
        return std::nullopt;
    const auto id = number<std::uint64_t>(split(line, ','));
    if (!id || !skip(line, R"("allowed":true,"reason":")"))
        return std::nullopt;
    const auto reason = split(line, '"');
    if (reason.find('\\') != std::string_view::npos || !skip(line, R"(,"address":")"))
        return std::nullopt;
    const auto address = Endpoint::parse(split(line, '"'));
    if (line != "}" || !address || address->port == 0 || !is_reachable_kind(address->address))
        return std::nullopt;
    return Reply{*id, Grant{std::string(reason), *address, std::nullopt}};
}

} // namespace

std::optional<Reply> parse_reply(const std::string& line) {
    if (auto grant = parse_plain_grant(line))
        return grant;
    const auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!json.is_object())
        return std::nullopt;
    const auto id = json.find("id");
    if (id == json.end() || !id->is_number_unsigned())
        return std::nullopt;
    return Reply{id->get<std::uint64_t>(), answer_of(json)};
}

std::string to_line(const Asked& asked) {
    // A user's name has nothing in it that JSON escapes; see is_user().
    const auto user = is_user(asked.user) ? asked.user : std::string();
    auto line = fmt::format(R"({{"may":{{"user":"{}","asker":{},"pid":{},"target":"{}")", user,
                            value(asked.asker), value(asked.pid), to_string(asked.target));
    if (asked.source)
        fmt::format_to(std::back_inserter(line), R"(,"source":"{}")", to_string(*asked.source));
    fmt::format_to(std::back_inserter(line), "}},\"id\":{}}}\n", asked.id);
    return line;
}

} // namespace ubf::portal
