#include "policy/verdict.hpp"

#include <cstddef>
#include <iterator>

namespace ubf {
namespace {

struct Row {
    Reason reason;
    std::string_view name;
    Action action;
    std::string_view hint;
};

// In the enum's order.
constexpr Row rows[] = {
    {Reason::exempt_listener, "exempt-listener", Action::allow,
     "the listener's user or port is exempt from the firewall"},
    {Reason::exempt_connector, "exempt-connector", Action::allow,
     "the connector's user is exempt from the firewall"},
    {Reason::same_user, "same-user", Action::allow, "both ends belong to one user"},
    {Reason::same_group, "same-group", Action::allow,
     "the connector is a member of the group that the listener runs under"},
    {Reason::same_label, "same-label", Action::allow, "both ends carry the same label"},
    {Reason::outside_allowed, "outside-allowed", Action::allow,
     "the site lets addresses outside the peers' ranges in"},
    {Reason::unready_allowed, "unready-allowed", Action::allow,
     "the site lets nodes in that do not run ubfd yet"},
    {Reason::excepted, "excepted", Action::allow,
     "an exception of the site's lets this user reach that port of that user's (policy.allow)"},
    {Reason::observed, "observed", Action::allow,
     "the site only observes such flows for now: this one would be refused"},
    {Reason::label_required, "label-required", Action::deny,
     "this site keeps labels apart: run both ends under one label"},
    {Reason::different_user, "different-user", Action::deny,
     "the ends belong to different users; to let a group in, start the listener under it "
     "with 'sg GROUP COMMAND'"},
    {Reason::connector_unknown, "connector-unknown", Action::deny,
     "no socket stood behind this packet when its node was asked; try again, and if it "
     "stays look for a program that closes at once or sends raw packets"},
    {Reason::listener_unknown, "listener-unknown", Action::deny,
     "the other node knows no socket at the far end of this flow; try again"},
    {Reason::shared_port, "shared-port", Action::deny,
     "programs of several users have this port, and nothing tells whose packet it is; "
     "take another port, and bind UDP ports without SO_REUSEADDR"},
    {Reason::translated, "translated", Action::deny,
     "an address or port was translated on the way (NAT), and nobody can say who began; "
     "connect to the server's own address and port, or have an administrator exempt the "
     "port: see 'Address translation' in ubfd(8)"},
    {Reason::no_room, "no-room", Action::deny,
     "a label allows it, but the connector's user has more such connections to this node "
     "than it can remember; close some, or share a group instead of a label"},
    {Reason::revoked, "revoked", Action::deny,
     "an administrator ended it with 'ubfctl revoke'; a new connection is decided as "
     "ever"},
    {Reason::outside, "outside", Action::deny,
     "the address is in none of the peers' ranges; an administrator adds it to "
     "peers.ranges, exempts the port, or sets policy.outside"},
    {Reason::unready, "unready", Action::deny,
     "the connector's node does not run ubfd yet (peers.unready), so nobody can say "
     "whose this is; wait until it does, or have an administrator set policy.unready"},
    {Reason::no_answer, "no-answer", Action::deny,
     "nobody answers on the ident port (UDP 1017, or what ident.port says) of the "
     "connector's node; see that ubfd runs there with the same key and port, and "
     "that firewalls on both nodes let that port pass; a machine without ubfd belongs "
     "into peers.except, one that gets it later into peers.unready"},
    {Reason::other_version, "other-version", Action::deny,
     "the ubfd of the connector's node speaks another version, and neither understands "
     "the other; have an administrator upgrade the older one"},
    {Reason::wrong_class, "class", Action::deny,
     "the node at the other end may not speak for this user, by the class in its certificate; an "
     "administrator sees to [identity.classes]"},
    {Reason::no_grant, "no-grant", Action::deny,
     "the node at the other end may speak for users with a job there, and has no grant for this "
     "one; run it within a job, or have an administrator look at 'ubfctl grant'"},
    {Reason::no_certificate, "no-certificate", Action::deny,
     "the certificate of the node at the other end was revoked; an administrator sees to a new one "
     "if the node is to be trusted again"},
    {Reason::unlisted, "unlisted", Action::deny,
     "no range of the peers lists the address at which this node was spoken to, or the "
     "other one is link-local; an administrator adds both to peers.ranges, or exempts "
     "the port"},
    {Reason::malformed, "malformed", Action::deny,
     "the packet could not be read; look for a broken or hostile sender"},
    {Reason::internal_error, "internal-error", Action::deny,
     "ubfd could not look up the owner; see 'ubfctl status' and the log around this line"},
    {Reason::no_listener, "no-listener", Action::closed,
     "nobody listens on this port; start the server first or check the port number"},
    {Reason::no_answer_yet, "no-answer-yet", Action::drop,
     "the connector's node did not answer in time, for the first time or a moment "
     "after it did; the sender tries again by itself"},
    {Reason::overload, "overload", Action::drop,
     "too many connections wait for an answer; this one is retried by the sender"},
    {Reason::gone, "gone", Action::drop,
     "a socket of the flow closed while its owner was looked up"},
    {Reason::repeated, "repeated", Action::drop,
     "an earlier packet of this connection was let in, and the kernel answers it"},
};

constexpr bool complete_and_in_order() {
    for (std::size_t i = 0; i < std::size(rows); ++i)
        if (rows[i].reason != static_cast<Reason>(i) || rows[i].name.empty() ||
            rows[i].hint.empty())
            return false;
    return std::size(rows) == static_cast<std::size_t>(Reason::count_);
}
static_assert(complete_and_in_order());

constexpr Row no_reason{Reason::count_, "?", Action::deny, "?"};

const Row& row_of(Reason reason) {
    return reason < Reason::count_ ? rows[static_cast<std::size_t>(reason)] : no_reason;
}

} // namespace

std::string_view to_string(Action action) {
    switch (action) {
    case Action::allow:
        return "allow";
    case Action::deny:
        return "deny";
    case Action::closed:
        return "closed";
    case Action::drop:
        return "drop";
    case Action::count_:
        break;
    }
    return "?";
}

std::string_view to_string(Reason reason) {
    return row_of(reason).name;
}

std::optional<Reason> parse_reason(std::string_view name) {
    for (const auto& row : rows)
        if (row.name == name)
            return row.reason;
    return std::nullopt;
}

std::string_view hint(Reason reason, bool roots_listener) {
    if (roots_listener && reason == Reason::different_user)
        return "the listener's socket is root's, perhaps since a service manager opened it (socket "
               "activation) or a server before it became a user's; let the program open its own "
               "socket, or have an administrator exempt the port";
    return row_of(reason).hint;
}

Action action_of(Reason reason) {
    return row_of(reason).action;
}

std::vector<std::string_view> reasons_of(Action action) {
    std::vector<std::string_view> names;
    for (const auto& row : rows)
        if (row.action == action)
            names.push_back(row.name);
    return names;
}

} // namespace ubf
