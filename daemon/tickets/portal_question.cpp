#include "daemon/tickets/portal_question.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace ubf {
namespace {

using Json = nlohmann::ordered_json;

// Nothing for another form of the same endpoint, such as a v4-mapped address.
std::optional<Endpoint> endpoint(std::string_view text) {
    const auto parsed = Endpoint::parse(text);
    return parsed && to_string(*parsed) == text ? parsed : std::nullopt;
}

// Printable, and no longer than a login can be (LOGIN_NAME_MAX).
bool is_user(const std::string& text) {
    constexpr std::size_t most = 255;
    return !text.empty() && text.size() <= most &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; }) &&
           text.find_first_of(":/,") == std::string::npos;
}

} // namespace

Result<PortalQuestion, Objection> portal_question(const Json& may) {
    if (!may.is_object())
        return fail(Objection::malformed);
    const auto portal = number_of<std::int64_t>(may, "asker", -1);
    const auto pid = number_of<std::int64_t>(may, "pid", 0);
    const auto target = endpoint(text_of(may, "target"));
    const auto source = may.contains("source") ? endpoint(text_of(may, "source")) : std::nullopt;
    if (portal < 0 || portal >= std::numeric_limits<std::uint32_t>::max() || pid < 0 ||
        pid > std::numeric_limits<std::int32_t>::max() || !target || target->port == 0 ||
        (may.contains("source") && (!source || source->port == 0)))
        return fail(Objection::malformed);
    auto user = text_of(may, "user");
    if (!is_user(user))
        return fail(Objection::no_user);
    return PortalQuestion{std::move(user), Uid{static_cast<std::uint32_t>(portal)},
                          Pid{static_cast<std::int32_t>(pid)}, *target, source};
}

std::optional<TargetPlace> place_of(const Endpoint& target, bool here, const TargetTerms& terms) {
    const auto& address = target.address;
    if (!terms.targets.has(address, here) || (!here && contains(terms.policy.unready, address)))
        return std::nullopt;
    TargetPlace place{here, !here && terms.targets.is_by_fabric(address), here ? "lo" : ""};
    if (terms.scope.of(Protocol::tcp, target.port, place.name, place.fabric) != Scope::Why::watched)
        return std::nullopt;
    return place;
}

std::string_view explain(Objection objection) {
    switch (objection) {
    case Objection::no_user:
        return "The portal named no user for whom it may ask.";
    case Objection::not_a_target:
        return "Portals do not connect to this address and port.";
    case Objection::malformed:
        return "The portal's question could not be read.";
    case Objection::not_a_portal:
        return "The program that asked is no portal of this node.";
    case Objection::busy:
        return "The firewall is busy. Try again.";
    case Objection::count_:
        break;
    }
    return "?";
}

std::string_view explain(Reason reason) {
    switch (reason) {
    case Reason::different_user:
        return "The server there is another user's, and private.";
    case Reason::label_required:
        return "This site keeps labels apart, and the server there has another label.";
    case Reason::no_listener:
        return "Nobody listens at this address and port. Start the server first.";
    case Reason::no_answer:
    case Reason::other_version:
        return "The node did not say who listens at this address and port.";
    case Reason::shared_port:
        return "Servers of several users are at this port.";
    default:
        return "The firewall does not allow it.";
    }
}

int http_status(Objection objection) {
    switch (objection) {
    case Objection::malformed:
        return 400;
    case Objection::busy:
        return 503;
    default:
        return 403;
    }
}

int http_status(Reason reason) {
    switch (reason) {
    case Reason::no_listener:
        return 404;
    case Reason::no_answer:
        return 504;
    default:
        return 403;
    }
}

} // namespace ubf
