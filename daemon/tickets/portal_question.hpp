// The question of a web portal: may this user connect there? Read from a line that may hold
// anything, and checked as far as that takes no look-up. Pure.
#pragma once

#include "base/result.hpp"
#include "base/types.hpp"
#include "config/portal_targets.hpp"
#include "config/scope.hpp"
#include "flow/flow.hpp"
#include "policy/objection.hpp"
#include "policy/policy.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

struct PortalQuestion {
    std::string user; // a name, or a uid as text
    Uid portal{};     // who asks, and connects
    Pid pid{};        // its process
    Endpoint target{};
    std::optional<Endpoint> source{}; // from which the portal will connect
};

// Addresses and ports count only in the form in which Endpoint prints them.
Result<PortalQuestion, Objection> portal_question(const nlohmann::ordered_json& may);

// The terms on which a portal may ask for a target.
struct TargetTerms {
    const PortalTargets& targets;
    const Policy& policy;
    const Scope& scope;
};
struct TargetPlace {
    bool here = false;       // an address of this node
    bool fabric = false;     // of the fabric
    std::string_view name{}; // of the interface over which the connection comes in; empty: unknown
};
// Nothing if portals don't reach that target: no user's server can be there, no ubfd can be asked,
// or the kernel lets everybody in.
std::optional<TargetPlace> place_of(const Endpoint& target, bool here, const TargetTerms& terms);

// One line for the person at the browser. It names nobody else.
std::string_view explain(Objection objection);
std::string_view explain(Reason reason);
// The HTTP status that a portal may show.
int http_status(Objection objection);
int http_status(Reason reason);

} // namespace ubf
