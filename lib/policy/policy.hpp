// The decision: a pure function of two owners and the policy. No I/O, no clock.
#pragma once

#include "base/types.hpp"
#include "flow/address.hpp"
#include "flow/flow.hpp"
#include "label/label.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

// Users who are exempt: everywhere, or where their own end of the flow has one of these addresses.
struct Exemption {
    UidRange users{};
    std::optional<Prefix> at{};

    bool operator==(const Exemption&) const = default;
};

// The same of sockets of the kernel: NFS, Lustre, tunnels.
struct KernelExemption {
    bool tcp = true; // a connection of the RDMA connection manager counts as one of TCP
    bool udp = true;
    PortRange ports{0, 65535}; // of the listener, whichever end is the kernel's
    std::optional<Prefix> at{};

    bool operator==(const KernelExemption&) const = default;
};

// One way that is open, and no wider: from these users to these ports of that listener.
struct Exception {
    UidRange connectors{};
    UidRange listeners{};
    bool tcp = true; // a connection of the RDMA connection manager counts as one of TCP
    bool udp = true;
    PortRange ports{};            // of the listener
    std::optional<Prefix> at{};   // the listener's address
    std::optional<Prefix> from{}; // the connector's address
    // The connector's socket: any; or one that slurmstepd holds, as root's or the listener's
    // user's.
    enum class Holder : std::uint8_t { any, slurmstepd } holder = Holder::any;
    bool exempts_listener = false; // whoever connects, known or not

    bool operator==(const Exception&) const = default;
};

// The users who may carry a label.
struct LabelRule {
    std::vector<UidRange> users{};
    std::vector<Gid> groups{}; // members, by effective or supplementary group

    bool operator==(const LabelRule&) const = default;
};

struct Policy {
    bool same_user = true;
    bool same_group = true;
    bool same_label = true;
    bool subids = false; // subordinate uids (subuid(5)) count as the user whose they are
    // Two owners whose labels differ may not talk, same user or not; nor may those of whom it is
    // not known which labels they carry.
    bool require_label = false;
    bool outside_allowed = false;  // what addresses beyond the peers' ranges start
    std::vector<Prefix> unready{}; // nodes that don't run ubfd yet, though they are peers
    bool unready_allowed = false;  // what these start

    std::vector<Exemption> exempt_listeners{};
    std::vector<Exemption> exempt_connectors{};
    std::vector<KernelExemption> exempt_kernel{KernelExemption{}}; // at either end
    std::vector<Exception> exceptions{};
    std::vector<Gid> ignored_groups{}; // sorted; never a reason to allow
    // By label, or by origin with the name "*" for all that have no rule of their own. Users may
    // choose a label for themselves, so that one without a rule matches nothing; but those of
    // origin map are the administrator's word, and match by themselves.
    std::map<Label, LabelRule> labels{};
    // Labels that say the same as another.
    std::map<Label, Label> aliases{};

    bool operator==(const Policy&) const = default;
};

// First match wins; the order is that of docs/ubfd.toml.5. Owners whose credentials were not looked
// for are judged by their uid alone. flow: from the connector to the listener, whichever way the
// packet goes.
Verdict decide(const Flow& flow, const Owner& listener, const Owner& connector,
               const Policy& policy);

// True where the verdict stands with what is known now: then nobody's credentials need to be looked
// for. A denial by uid is never settled: a group or a label may allow it, the socket may turn out
// to be the kernel's, and the log names processes.
bool settled_by_uid(const Flow& flow, const Owner& listener, const Owner& connector,
                    const Policy& policy);
// The same, where decide() has said why.
bool settled_by_uid(Reason decided, const Flow& flow, const Owner& listener, const Owner& connector,
                    const Policy& policy);

// How the labels of two owners compare, for people: which each has, what they have in common, and
// where that counts for nothing, why. One line, no full stop.
std::string compare_labels(const Owner& listener, const Owner& connector, const Policy& policy);

} // namespace ubf
