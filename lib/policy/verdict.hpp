// A verdict: what happens to the packet, and why.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ubf {

enum class Action : std::uint8_t {
    allow,
    deny,   // refused at once: ICMP admin-prohibited
    closed, // refused as the kernel refuses a port without a listener
    drop,   // not decided: the retransmitted packet asks again
    count_,
};

// One stable name each, the same in logs, counters and docs (to_string).
enum class Reason : std::uint8_t {
    // allow
    exempt_listener,
    exempt_connector,
    same_user,
    same_group,
    same_label,
    outside_allowed,
    unready_allowed,
    excepted, // by policy.allow
    observed, // it would be refused, but the site only observes
    // deny
    label_required,    // labels differ, and the policy requires a common one
    different_user,    // neither user, group nor label in common
    connector_unknown, // the peer says that no socket stands behind this packet
    listener_unknown,  // the same of a UDP reply, whose listener is at the peer
    shared_port,       // sockets of several users are at the port of one end
    translated,        // by NAT, and nobody can say whose it was before
    no_room,           // to remember it, and to end it when its label is withdrawn
    revoked,           // an administrator ended what was allowed
    outside,           // from beyond the peers' ranges
    unready,           // from a node that does not run ubfd yet
    no_answer,         // nobody answers at the peer's ident port
    other_version,     // nor could: the peer's ubfd speaks another version of ident
    wrong_class,       // the class of the peer's node may not speak for this user
    no_grant,          // nor may the node without a grant, which is missing
    no_certificate,    // nor for anybody: its certificate was revoked
    unlisted,          // to an address of this node in no range, or from a link-local one in none
    malformed,         // a packet that can't be read
    internal_error,    // something failed in ubfd
    // closed
    no_listener,
    // drop
    no_answer_yet, // the peer did not answer by the deadline: the first time, or of late
    overload,      // too much waits already
    gone,          // a socket of the flow went away while the packet waited
    repeated,      // a SYN of a connection that the kernel has begun to open: it answers by itself
    count_,
};

std::string_view to_string(Action action);
std::string_view to_string(Reason reason);
std::optional<Reason> parse_reason(std::string_view name);
// Tells the reader what to do next; one line, no full stop. roots_listener: the listener is root's,
// to whom the group of another program is no help.
std::string_view hint(Reason reason, bool roots_listener = false);
Action action_of(Reason reason);
// The names of all that do this.
std::vector<std::string_view> reasons_of(Action action);

struct Verdict {
    Reason reason = Reason::internal_error;

    Action action() const { return action_of(reason); }
    bool operator==(const Verdict&) const = default;
};

} // namespace ubf
