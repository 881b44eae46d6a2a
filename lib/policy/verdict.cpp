#include "policy/verdict.hpp"

#include <cstddef>

namespace ubf {

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
    switch (reason) {
    case Reason::exempt_listener:
        return "exempt-listener";
    case Reason::exempt_connector:
        return "exempt-connector";
    case Reason::same_user:
        return "same-user";
    case Reason::same_group:
        return "same-group";
    case Reason::same_label:
        return "same-label";
    case Reason::outside_allowed:
        return "outside-allowed";
    case Reason::unready_allowed:
        return "unready-allowed";
    case Reason::label_required:
        return "label-required";
    case Reason::different_user:
        return "different-user";
    case Reason::connector_unknown:
        return "connector-unknown";
    case Reason::listener_unknown:
        return "listener-unknown";
    case Reason::shared_port:
        return "shared-port";
    case Reason::translated:
        return "translated";
    case Reason::no_room:
        return "no-room";
    case Reason::revoked:
        return "revoked";
    case Reason::outside:
        return "outside";
    case Reason::unready:
        return "unready";
    case Reason::unlisted:
        return "unlisted";
    case Reason::malformed:
        return "malformed";
    case Reason::internal_error:
        return "internal-error";
    case Reason::no_listener:
        return "no-listener";
    case Reason::no_answer:
        return "no-answer";
    case Reason::no_answer_yet:
        return "no-answer-yet";
    case Reason::other_version:
        return "other-version";
    case Reason::overload:
        return "overload";
    case Reason::gone:
        return "gone";
    case Reason::repeated:
        return "repeated";
    case Reason::count_:
        break;
    }
    return "?";
}

std::optional<Reason> parse_reason(std::string_view name) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::count_); ++i)
        if (to_string(static_cast<Reason>(i)) == name)
            return static_cast<Reason>(i);
    return std::nullopt;
}

std::string_view hint(Reason reason) {
    switch (reason) {
    case Reason::exempt_listener:
        return "the listener's user or port is exempt from the firewall";
    case Reason::exempt_connector:
        return "the connector's user is exempt from the firewall";
    case Reason::same_user:
        return "both ends belong to one user";
    case Reason::same_group:
        return "the connector is a member of the group that the listener runs under";
    case Reason::same_label:
        return "both ends carry the same label";
    case Reason::outside_allowed:
        return "the site lets addresses outside the peers' ranges in";
    case Reason::label_required:
        return "this site keeps labels apart: run both ends under one label";
    case Reason::different_user:
        return "the ends belong to different users; to let a group in, start the listener under it "
               "with 'sg GROUP COMMAND'";
    case Reason::connector_unknown:
        return "no socket stood behind this packet when its node was asked; try again, and if it "
               "stays look for a program that closes at once or sends raw packets";
    case Reason::listener_unknown:
        return "the other node knows no socket at the far end of this flow; try again";
    case Reason::shared_port:
        return "programs of several users have this port, and nothing tells whose packet it is; "
               "take another port, and bind UDP ports without SO_REUSEADDR";
    case Reason::translated:
        return "an address or port was translated on the way (NAT), and nobody can say who began; "
               "connect to the server's own address and port, or have an administrator exempt the "
               "port: see ADDRESS TRANSLATION in ubfd(8)";
    case Reason::no_room:
        return "a label allows it, but the connector's user has more such connections to this node "
               "than it can remember; close some, or share a group instead of a label";
    case Reason::revoked:
        return "an administrator ended it with 'ubfctl revoke'; a new connection is decided as "
               "ever";
    case Reason::outside:
        return "the address is in none of the peers' ranges; an administrator adds it to "
               "peers.ranges, exempts the port, or sets policy.outside";
    case Reason::unlisted:
        return "no range of the peers lists the address at which this node was spoken to, or the "
               "other one is link-local; an administrator adds both to peers.ranges, or exempts "
               "the port";
    case Reason::malformed:
        return "the packet could not be read; look for a broken or hostile sender";
    case Reason::internal_error:
        return "ubfd could not look up the owner; see 'ubfctl status' and the log around this line";
    case Reason::no_listener:
        return "nobody listens on this port; start the server first or check the port number";
    case Reason::no_answer:
        return "nobody answers on the ident port (UDP 1017, or what ident.port says) of the "
               "connector's node; see that ubfd runs there with the same key and port, and "
               "that firewalls on both nodes let that port pass; a machine without ubfd belongs "
               "into peers.except, one that gets it later into peers.unready";
    case Reason::no_answer_yet:
        return "the connector's node did not answer in time, for the first time or a moment "
               "after it did; the sender tries again by itself";
    case Reason::other_version:
        return "the ubfd of the connector's node speaks another version, and neither understands "
               "the other; have an administrator upgrade the older one";
    case Reason::unready_allowed:
        return "the site lets nodes in that do not run ubfd yet";
    case Reason::unready:
        return "the connector's node does not run ubfd yet (peers.unready), so nobody can say "
               "whose this is; wait until it does, or have an administrator set policy.unready";
    case Reason::overload:
        return "too many connections wait for an answer; this one is retried by the sender";
    case Reason::gone:
        return "a socket of the flow closed while its owner was looked up";
    case Reason::repeated:
        return "an earlier packet of this connection was let in, and the kernel answers it";
    case Reason::count_:
        break;
    }
    return "?";
}

std::string_view hint_about_roots_listener() {
    return "the listener's socket is root's, perhaps since a service manager opened it (socket "
           "activation) or a server before it became a user's; let the program open its own "
           "socket, or have an administrator exempt the port";
}

Action action_of(Reason reason) {
    switch (reason) {
    case Reason::exempt_listener:
    case Reason::exempt_connector:
    case Reason::same_user:
    case Reason::same_group:
    case Reason::same_label:
    case Reason::outside_allowed:
    case Reason::unready_allowed:
        return Action::allow;
    case Reason::no_listener:
        return Action::closed;
    case Reason::no_answer_yet:
    case Reason::overload:
    case Reason::gone:
    case Reason::repeated:
        return Action::drop;
    case Reason::label_required:
    case Reason::different_user:
    case Reason::connector_unknown:
    case Reason::listener_unknown:
    case Reason::shared_port:
    case Reason::translated:
    case Reason::no_room:
    case Reason::revoked:
    case Reason::outside:
    case Reason::unready:
    case Reason::no_answer:
    case Reason::other_version:
    case Reason::unlisted:
    case Reason::malformed:
    case Reason::internal_error:
    case Reason::count_:
        break;
    }
    return Action::deny;
}

std::vector<std::string_view> reasons_of(Action action) {
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::count_); ++i)
        if (action_of(static_cast<Reason>(i)) == action)
            names.push_back(to_string(static_cast<Reason>(i)));
    return names;
}

} // namespace ubf
