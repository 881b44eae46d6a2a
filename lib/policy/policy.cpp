#include "policy/policy.hpp"

#include <algorithm>

namespace ubf {
namespace {

bool contains(const std::vector<UidRange>& ranges, Uid uid) {
    return std::ranges::any_of(ranges, [&](const UidRange& range) { return range.contains(uid); });
}

bool contains(const std::vector<Gid>& gids, Gid gid) {
    return std::ranges::find(gids, gid) != gids.end();
}

bool exempt(const Owner& owner, const std::vector<UidRange>& users, const Policy& policy) {
    switch (owner.kind) {
    case OwnerKind::user:
        return contains(users, owner.uid);
    case OwnerKind::kernel:
        return policy.kernel_exempt;
    case OwnerKind::unknown:
    case OwnerKind::outside:
        return false;
    }
    return false;
}

bool is_member(const Credentials& credentials, Gid gid) {
    return credentials.gid == gid || contains(credentials.groups, gid);
}

bool same_user(const Owner& listener, const Owner& connector, const Policy& policy) {
    return policy.same_user && listener.uid == connector.uid;
}

bool same_group(const Owner& listener, const Owner& connector, const Policy& policy) {
    if (!policy.same_group || !listener.credentials || !connector.credentials)
        return false;
    const auto gid = listener.credentials->gid;
    return gid && is_member(*connector.credentials, *gid) && !contains(policy.ignored_groups, *gid);
}

bool may_carry(const Owner& owner, const LabelRule& rule) {
    return contains(rule.users, owner.uid) || std::ranges::any_of(rule.groups, [&](Gid gid) {
               return is_member(*owner.credentials, gid);
           });
}

bool same_label(const Owner& listener, const Owner& connector, const Policy& policy) {
    if (!listener.credentials || !connector.credentials)
        return false;
    const auto& theirs = connector.credentials->labels;
    return std::ranges::any_of(listener.credentials->labels, [&](const Label& label) {
        const auto rule = policy.labels.find(label);
        return rule != policy.labels.end() && std::ranges::find(theirs, label) != theirs.end() &&
               may_carry(listener, rule->second) && may_carry(connector, rule->second);
    });
}

bool carries_label(const Owner& owner) {
    return owner.credentials && !owner.credentials->labels.empty();
}

bool labels_differ(const Owner& listener, const Owner& connector, const Policy& policy) {
    return (carries_label(listener) || carries_label(connector)) &&
           !same_label(listener, connector, policy);
}

} // namespace

Verdict decide(const Owner& listener, const Owner& connector, const Policy& policy) {
    if (exempt(listener, policy.exempt_listeners, policy))
        return {Reason::exempt_listener};
    if (listener.kind == OwnerKind::unknown)
        return {Reason::listener_unknown};
    if (exempt(connector, policy.exempt_connectors, policy))
        return {Reason::exempt_connector};

    // An address outside has no ubfd to ask, whichever end it is.
    if (listener.kind == OwnerKind::outside || connector.kind == OwnerKind::outside)
        return {policy.outside_allowed ? Reason::outside_allowed : Reason::outside};
    if (connector.kind == OwnerKind::unknown)
        return {Reason::connector_unknown};
    if (listener.kind != OwnerKind::user || connector.kind != OwnerKind::user)
        return {Reason::different_user};

    if (policy.require_label && labels_differ(listener, connector, policy))
        return {Reason::label_required};
    if (same_user(listener, connector, policy))
        return {Reason::same_user};
    if (same_group(listener, connector, policy))
        return {Reason::same_group};
    if (same_label(listener, connector, policy))
        return {Reason::same_label};
    return {Reason::different_user};
}

bool settled_by_uid(const Owner& listener, const Owner& connector, const Policy& policy) {
    const Verdict verdict = decide(listener, connector, policy);
    if (verdict.reason == Reason::same_user)
        return !policy.require_label;
    if (verdict.reason == Reason::different_user || verdict.reason == Reason::label_required)
        return false;
    const bool exemption_possible =
        policy.kernel_exempt && (listener.may_be_kernel() || connector.may_be_kernel());
    return verdict.action() == Action::allow || !exemption_possible;
}

} // namespace ubf
