// The decision: a pure function of two owners and the policy. No I/O, no clock.
#pragma once

#include "base/types.hpp"
#include "flow/flow.hpp"
#include "label/label.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

#include <map>
#include <vector>

namespace ubf {

// Who may carry a label. A label without a rule here matches nothing.
struct LabelRule {
    std::vector<UidRange> users{};
    std::vector<Gid> groups{}; // members, by effective or supplementary group
};

struct Policy {
    bool same_user = true;
    bool same_group = true;
    bool require_label = false;   // two owners whose labels differ may not talk, same user or not
    bool kernel_exempt = true;    // sockets of the kernel itself (NFS, tunnels), at either end
    bool outside_allowed = false; // what addresses beyond the peers' ranges start

    std::vector<UidRange> exempt_listeners{};
    std::vector<UidRange> exempt_connectors{};
    std::vector<Gid> ignored_groups{}; // sorted; never a reason to allow
    std::map<Label, LabelRule> labels{};
};

// First match wins; the order is that of docs/ubfd.toml.5. Owners whose credentials were not looked
// for are judged by their uid alone.
Verdict decide(const Owner& listener, const Owner& connector, const Policy& policy);

// True where the verdict stands with what is known now: then nobody's credentials need to be looked
// for. A denial by uid is never settled: a group or a label may allow it, the socket may turn out
// to be the kernel's, and the log names processes.
bool settled_by_uid(const Owner& listener, const Owner& connector, const Policy& policy);

} // namespace ubf
