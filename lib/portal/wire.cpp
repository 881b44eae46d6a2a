#include "portal/wire.hpp"

#include "base/json.hpp"

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

} // namespace

std::optional<Reply> parse_reply(const std::string& line) {
    const auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!json.is_object())
        return std::nullopt;
    const auto id = json.find("id");
    if (id == json.end() || !id->is_number_unsigned())
        return std::nullopt;
    return Reply{id->get<std::uint64_t>(), answer_of(json)};
}

std::string to_line(const Asked& asked) {
    nlohmann::ordered_json may{{"user", asked.user},
                               {"asker", value(asked.asker)},
                               {"pid", value(asked.pid)},
                               {"target", to_string(asked.target)}};
    if (asked.source)
        may["source"] = to_string(*asked.source);
    return ubf::to_line({{"may", std::move(may)}, {"id", asked.id}});
}

} // namespace ubf::portal
