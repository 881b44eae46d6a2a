// A flow as JSON has it: `from`, `to` and `protocol`, each as text.
#pragma once

#include "base/json.hpp"
#include "flow/flow.hpp"

#include <optional>
#include <string_view>

namespace ubf {

// Nothing where they make none.
inline std::optional<Flow> flow_in(const nlohmann::ordered_json& object) {
    const auto source = Endpoint::parse(text_of(object, "from"));
    const auto destination = Endpoint::parse(text_of(object, "to"));
    if (!source || !destination || source->address.is_v4() != destination->address.is_v4())
        return std::nullopt;
    const auto name = text_of(object, "protocol");
    for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::rdma})
        if (to_string(protocol) == std::string_view(name))
            return Flow{protocol, *source, *destination};
    return std::nullopt;
}

} // namespace ubf
