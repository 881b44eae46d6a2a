// The place that a portal wants to connect to, as UBF-Target names it. The text is a stranger's: a
// browser has written it into a URL.
#pragma once

#include "base/result.hpp"
#include "base/types.hpp"
#include "flow/address.hpp"
#include "portal/refusal.hpp"

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace ubf::portal {

struct Host { // that has a name
    std::string name;
    Port port = 0;

    bool operator==(const Host&) const = default;
};

struct Forward { // a file has the place
    std::string name;

    bool operator==(const Forward&) const = default;
};

using Place = std::variant<Endpoint, Host>;
using Target = std::variant<Endpoint, Host, Forward>;

// "node7:8888", "10.0.0.7:8888", "[fd00::7]:8888". Other ways to write an address (decimal, octal,
// v4-mapped, with a zone) are refused, since two readers may understand them differently.
Result<Place, Refusal> parse_place(std::string_view text);
// The same, or the name of a forward, which has no port.
Result<Target, Refusal> parse_target(std::string_view text);

// No portal connects to loopback, link-local, multicast and unspecified addresses.
bool is_reachable_kind(const Address& address);

// Whether the name may be looked up: it has no dot, or ends in one of the domains.
bool is_in(std::string_view name, std::span<const std::string> domains);

} // namespace ubf::portal
