// Requests of clients of the control socket, read from a line that may hold anything.
#pragma once

#include "base/json.hpp"
#include "base/result.hpp"
#include "daemon/gate/allowed_flows.hpp"
#include "flow/flow.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

// A JSON object; nothing where the line is none.
std::optional<nlohmann::ordered_json> parse_request(std::string_view line);

// The flow of an `explain`: from, to and protocol, as text; nothing where they make none.
std::optional<Flow> flow_of(const nlohmann::ordered_json& request);

// The uid that an `explain` supposes for the connector; nothing where it has none.
std::optional<Uid> supposed_in(const nlohmann::ordered_json& request);
// The reply to an `explain` of a flow that another node must explain.
nlohmann::ordered_json ends_elsewhere(const Address& destination);

// The flows that a `flows` or `revoke` means: user (a uid), reason, and from, to and protocol. Each
// may be missing. The error is for the client.
Result<FlowFilter, std::string> filter_of(const nlohmann::ordered_json& request);

} // namespace ubf
