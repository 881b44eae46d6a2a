#include "policy/policy.hpp"

#include "base/uid_ranges.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf {
namespace {

bool contains(const std::vector<Gid>& gids, Gid gid) {
    return std::ranges::find(gids, gid) != gids.end();
}

// A link-local address may be another node's on each link, so it is nobody's place.
bool is_at(const std::optional<Prefix>& place, const Address& address) {
    return !place || (!address.is_link_local() && place->contains(address));
}

// address: of this end.
bool exempt(const std::vector<Exemption>& exemptions, Uid uid, const Address& address) {
    return std::ranges::any_of(exemptions, [&](const Exemption& exemption) {
        return exemption.users.contains(uid) && is_at(exemption.at, address);
    });
}

bool exempt_kernel(const Flow& flow, const Address& address, const Policy& policy) {
    return std::ranges::any_of(policy.exempt_kernel, [&](const KernelExemption& exemption) {
        return (flow.protocol == Protocol::udp ? exemption.udp : exemption.tcp) &&
               exemption.ports.contains(flow.destination.port) && is_at(exemption.at, address);
    });
}

bool exempt(const Flow& flow, const Owner& owner, const Address& address,
            const std::vector<Exemption>& exemptions, const Policy& policy) {
    switch (owner.kind) {
    case OwnerKind::user:
        return exempt(exemptions, owner.uid, address);
    case OwnerKind::kernel:
        return exempt_kernel(flow, address, policy);
    case OwnerKind::unknown:
    case OwnerKind::outside:
    case OwnerKind::unready:
    case OwnerKind::unlisted:
    case OwnerKind::shared:
    case OwnerKind::translated:
        return false;
    }
    return false;
}

// The word of a peer's node may not count for this owner.
bool is_exempt(const Flow& flow, const Owner& owner, const Address& address,
               const std::vector<Exemption>& exemptions, const Policy& policy) {
    return owner.may_be_exempt && exempt(flow, owner, address, exemptions, policy);
}

std::optional<Reason> unvouched(const Owner& owner) {
    switch (owner.word) {
    case Word::counts:
        break;
    case Word::no_class:
        return Reason::wrong_class;
    case Word::no_grant:
        return Reason::no_grant;
    case Word::no_certificate:
        return Reason::no_certificate;
    }
    return std::nullopt;
}

bool reaches(const Exception& exception, const Flow& flow, Uid listener) {
    return (flow.protocol == Protocol::udp ? exception.udp : exception.tcp) &&
           exception.ports.contains(flow.destination.port) &&
           exception.listeners.contains(listener) &&
           is_at(exception.at, flow.destination.address) &&
           is_at(exception.from, flow.source.address);
}

bool exempt_by_port(const Flow& flow, const Owner& listener, const Policy& policy) {
    return listener.kind == OwnerKind::user && listener.word == Word::counts &&
           std::ranges::any_of(policy.exceptions, [&](const Exception& exception) {
               return exception.exempts_listener && reaches(exception, flow, listener.uid);
           });
}

// A user can make slurmstepd connect for them, but no other user's socket is in its hands.
bool holds(const Exception& exception, const Owner& listener, const Owner& connector) {
    if (exception.holder == Exception::Holder::any)
        return true;
    return connector.credentials && connector.credentials->slurmstepd &&
           (connector.uid == Uid{0} || connector.uid == listener.uid);
}

bool excepted(const Flow& flow, const Owner& listener, const Owner& connector,
              const Policy& policy) {
    return std::ranges::any_of(policy.exceptions, [&](const Exception& exception) {
        return reaches(exception, flow, listener.uid) &&
               exception.connectors.contains(connector.uid) &&
               holds(exception, listener, connector);
    });
}

bool is_member(const Credentials& credentials, Gid gid) {
    return credentials.gid == gid || contains(credentials.groups, gid);
}

bool same_user(const Owner& listener, const Owner& connector, const Policy& policy) {
    return policy.same_user && (listener.uid == connector.uid ||
                                (policy.subids && listener.account() == connector.account()));
}

bool same_group(const Owner& listener, const Owner& connector, const Policy& policy) {
    if (!policy.same_group || !listener.credentials || !connector.credentials)
        return false;
    const auto gid = listener.credentials->gid;
    return gid && is_member(*connector.credentials, *gid) && !contains(policy.ignored_groups, *gid);
}

const Label& canonical(const Label& label, const Policy& policy) {
    const auto found = policy.aliases.find(label);
    return found == policy.aliases.end() ? label : found->second;
}

const LabelRule* rule_for(const Label& label, const Policy& policy) {
    for (const auto& name : {label, Label{label.origin, "*"}})
        if (const auto found = policy.labels.find(name); found != policy.labels.end())
            return &found->second;
    return nullptr;
}

// An owner with credentials. The rule of a label's canonical name says who may carry it. If there
// is no rule, the label itself may be the administrator's word.
bool may_carry(const Owner& owner, const Label& label, const Policy& policy) {
    const auto* rule = rule_for(canonical(label, policy), policy);
    if (rule == nullptr)
        return label.origin == LabelOrigin::map;
    return contains(rule->users, owner.uid) || std::ranges::any_of(rule->groups, [&](Gid gid) {
               return is_member(*owner.credentials, gid);
           });
}

const std::vector<Label>& labels_of(const Owner& owner) {
    static const std::vector<Label> none;
    return owner.credentials ? owner.credentials->labels : none;
}

// Calls with each pair of labels that say the same, until it is told that this is enough.
template<typename F>
bool any_common(const Owner& listener, const Owner& connector, const Policy& policy, F&& enough) {
    for (const auto& ours : labels_of(listener))
        for (const auto& theirs : labels_of(connector))
            if (canonical(ours, policy) == canonical(theirs, policy) && enough(ours, theirs))
                return true;
    return false;
}

bool same_label(const Owner& listener, const Owner& connector, const Policy& policy) {
    return any_common(listener, connector, policy, [&](const Label& ours, const Label& theirs) {
        return may_carry(listener, ours, policy) && may_carry(connector, theirs, policy);
    });
}

bool knows_labels(const Owner& owner) {
    return owner.credentials && owner.credentials->labels_known;
}

bool labels_differ(const Owner& listener, const Owner& connector, const Policy& policy) {
    if (!knows_labels(listener) || !knows_labels(connector))
        return true;
    const bool labelled = !labels_of(listener).empty() || !labels_of(connector).empty();
    return labelled && !same_label(listener, connector, policy);
}

std::string to_text(const Owner& owner) {
    std::string text;
    for (const auto& label : labels_of(owner))
        text += (text.empty() ? "" : ",") + to_string(label);
    if (!knows_labels(owner))
        return text.empty() ? "not known" : text + " and maybe others";
    return text.empty() ? "none" : text;
}

} // namespace

Verdict decide(const Flow& flow, const Owner& listener, const Owner& connector,
               const Policy& policy) {
    if (is_exempt(flow, listener, flow.destination.address, policy.exempt_listeners, policy) ||
        exempt_by_port(flow, listener, policy))
        return {Reason::exempt_listener};
    if (listener.kind == OwnerKind::unknown)
        return {Reason::listener_unknown};
    if (listener.kind == OwnerKind::shared)
        return {Reason::shared_port};
    if (is_exempt(flow, connector, flow.source.address, policy.exempt_connectors, policy))
        return {Reason::exempt_connector};
    if (connector.kind == OwnerKind::shared)
        return {Reason::shared_port};
    if (listener.kind == OwnerKind::translated || connector.kind == OwnerKind::translated)
        return {Reason::translated};

    if (listener.kind == OwnerKind::unlisted || connector.kind == OwnerKind::unlisted)
        return {Reason::unlisted};
    // An address outside has no ubfd to ask, whichever end it is.
    if (listener.kind == OwnerKind::outside || connector.kind == OwnerKind::outside)
        return {policy.outside_allowed ? Reason::outside_allowed : Reason::outside};
    if (listener.kind == OwnerKind::unready || connector.kind == OwnerKind::unready)
        return {policy.unready_allowed ? Reason::unready_allowed : Reason::unready};
    for (const auto* owner : {&listener, &connector})
        if (const auto reason = unvouched(*owner))
            return {*reason};
    if (connector.kind == OwnerKind::unknown)
        return {Reason::connector_unknown};
    if (listener.kind != OwnerKind::user || connector.kind != OwnerKind::user)
        return {Reason::different_user};

    if (excepted(flow, listener, connector, policy))
        return {Reason::excepted};
    if (policy.require_label && labels_differ(listener, connector, policy))
        return {Reason::label_required};
    if (same_user(listener, connector, policy))
        return {Reason::same_user};
    if (same_group(listener, connector, policy))
        return {Reason::same_group};
    if (policy.same_label && same_label(listener, connector, policy))
        return {Reason::same_label};
    return {Reason::different_user};
}

bool settled_by_uid(const Flow& flow, const Owner& listener, const Owner& connector,
                    const Policy& policy) {
    const auto decided = decide(flow, listener, connector, policy).reason;
    return settled_by_uid(decided, flow, listener, connector, policy);
}

bool settled_by_uid(Reason decided, const Flow& flow, const Owner& listener, const Owner& connector,
                    const Policy& policy) {
    if (decided == Reason::same_user)
        return !policy.require_label && listener.uid == connector.uid;
    if (decided == Reason::different_user || decided == Reason::label_required)
        return false;
    if (action_of(decided) == Action::allow)
        return true;
    const bool exemption_possible =
        (listener.may_be_kernel() && exempt_kernel(flow, flow.destination.address, policy)) ||
        (connector.may_be_kernel() && exempt_kernel(flow, flow.source.address, policy));
    return !exemption_possible;
}

std::string compare_labels(const Owner& listener, const Owner& connector, const Policy& policy) {
    auto text =
        fmt::format("labels: listener {}, connector {}", to_text(listener), to_text(connector));
    if (labels_of(listener).empty() && labels_of(connector).empty())
        return text;
    if (same_label(listener, connector, policy))
        return text + (policy.same_label ? ": one in common"
                                         : ": one in common, which counts for nothing on the "
                                           "fabric (fabric.reasons)");
    std::string why = ": none in common";
    any_common(listener, connector, policy, [&](const Label& ours, const Label& theirs) {
        const bool listener_may = may_carry(listener, ours, policy);
        const auto& label = canonical(listener_may ? theirs : ours, policy);
        why = fmt::format(
            ": {} in common, which counts for nothing: {}", to_string(label),
            rule_for(label, policy) == nullptr
                ? fmt::format("no [policy.labels.\"{}\"] says who may carry it", to_string(label))
                : fmt::format("[policy.labels] does not let the {} carry it",
                              listener_may ? "connector" : "listener"));
        return true;
    });
    return text + why;
}

} // namespace ubf
