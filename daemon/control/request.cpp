#include "daemon/control/request.hpp"

namespace ubf {

std::optional<nlohmann::ordered_json> parse_request(std::string_view line) {
    auto request = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!request.is_object())
        return std::nullopt;
    return request;
}

std::string text_of(const nlohmann::ordered_json& request, const char* key) {
    const auto found = request.find(key);
    return found != request.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<Flow> flow_of(const nlohmann::ordered_json& request) {
    const auto source = Endpoint::parse(text_of(request, "from"));
    const auto destination = Endpoint::parse(text_of(request, "to"));
    const auto protocol = text_of(request, "protocol");
    if (!source || !destination || (protocol != "tcp" && protocol != "udp") ||
        source->address.is_v4() != destination->address.is_v4())
        return std::nullopt;
    return Flow{protocol == "tcp" ? Protocol::tcp : Protocol::udp, *source, *destination};
}

} // namespace ubf
