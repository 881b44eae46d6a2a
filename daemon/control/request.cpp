#include "daemon/control/request.hpp"

#include "daemon/core/json_flow.hpp"

#include <fmt/format.h>
#include <limits>

namespace ubf {

std::optional<nlohmann::ordered_json> parse_request(std::string_view line) {
    auto request = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!request.is_object())
        return std::nullopt;
    return request;
}

std::optional<Flow> flow_of(const nlohmann::ordered_json& request) {
    const auto flow = flow_in(request);
    return flow && flow->protocol != Protocol::rdma ? flow : std::nullopt;
}

std::optional<Uid> supposed_in(const nlohmann::ordered_json& request) {
    const auto uid = number_of<std::int64_t>(request, "as", -1);
    const bool is_one = uid >= 0 && uid < std::numeric_limits<std::uint32_t>::max();
    return is_one ? std::optional(Uid{static_cast<std::uint32_t>(uid)}) : std::nullopt;
}

nlohmann::ordered_json ends_elsewhere(const Address& destination) {
    return {{"ok", false},
            {"error",
             fmt::format("{} is not an address of this node; the listener's node decides, so ask "
                         "there",
                         to_string(destination))}};
}

Result<FlowFilter, std::string> filter_of(const nlohmann::ordered_json& request) {
    FlowFilter filter;
    if (const auto user = request.find("user"); user != request.end()) {
        constexpr auto most = std::numeric_limits<std::uint32_t>::max();
        if (!user->is_number_unsigned() || user->get<std::uint64_t>() > most)
            return fail(std::string("user is not a uid"));
        filter.user = Uid{user->get<std::uint32_t>()};
    }
    if (request.contains("reason")) {
        filter.reason = parse_reason(text_of(request, "reason"));
        if (!filter.reason || action_of(*filter.reason) != Action::allow)
            return fail(fmt::format("no flow is allowed for that reason; there are {}",
                                    fmt::join(reasons_of(Action::allow), ", ")));
    }
    if (request.contains("from") || request.contains("to")) {
        filter.flow = flow_of(request);
        if (!filter.flow)
            return fail(std::string("a flow takes two endpoints of one family, like 10.0.0.1:4000 "
                                    "and 10.0.0.2:80 or [fd00::1]:4000 and [fd00::2]:80, and tcp "
                                    "or udp"));
    }
    return filter;
}

} // namespace ubf
