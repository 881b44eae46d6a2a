#include "policy/inquiry.hpp"

#include <algorithm>

namespace ubf {
namespace {

// The packet has gone through all that can refuse it; last, that nothing has changed meanwhile.
Step allow(const Facts& facts, Reason reason) {
    if (!facts.same_destination)
        return Need::same_destination;
    if (!*facts.same_destination)
        return Reason::gone; // somebody else may have taken the port
    if (reason != Reason::same_label)
        return reason;
    if (!facts.fresh_labels)
        return Need::fresh_labels;
    if (!*facts.fresh_labels)
        return Reason::overload;
    // No notice would end it when the label is withdrawn.
    return facts.translated ? Reason::translated : reason;
}

// All is known of both ends.
Step conclude(const Facts& facts, Reason reason) {
    const auto& destination = *facts.destination;
    if (action_of(reason) != Action::allow) {
        const bool has_group = destination.credentials && destination.credentials->gid;
        if (facts.answer.groups_cut && !facts.answer.group_asked && has_group)
            return Need::group;
        return facts.out_of_time.value_or(reason);
    }
    // Anew each time, since a listener may have come a moment ago.
    if (!facts.sharers_known && destination.kind == OwnerKind::user)
        return Need::sharers;
    return allow(facts, reason);
}

} // namespace

const Owner& Facts::end(const std::optional<Owner>& owner) {
    static const Owner unknown;
    return owner ? *owner : unknown;
}

void Facts::learn_destination(Owner owner) {
    if (partition)
        carry(owner, *partition);
    destination = std::move(owner);
}

Facts::Levels Facts::learn_source(Owner owner) {
    auto levels = Levels::agree;
    if (stated && owner.credentials) {
        const auto& level = stated->level;
        auto& labels = owner.credentials->labels;
        const auto said = std::ranges::find(labels, LabelOrigin::selinux, &Label::origin);
        const bool same =
            said == labels.end() ? level && level->is_plain() : level && level->label() == *said;
        if (!same) {
            levels = Levels::contradict;
            if (said != labels.end())
                labels.erase(said);
            owner.credentials->labels_known = false;
        }
    }
    if (partition)
        carry(owner, *partition);
    source = std::move(owner);
    return levels;
}

Step next(const Facts& facts, const Policy& policy) {
    if (facts.failed)
        return *facts.failed;
    if (!facts.destination)
        return Need::destination;
    const auto& destination = *facts.destination;
    // A connection of RDMA is there, whoever made it.
    if (destination.kind == OwnerKind::unknown && facts.flow.protocol != Protocol::rdma)
        return Reason::no_listener;
    if (destination.kind == OwnerKind::shared)
        return Reason::shared_port;
    if (facts.repeated)
        return Reason::repeated;

    const auto flow = facts.from_connector();
    const auto& listener = facts.listener();
    const auto& connector = facts.connector();
    const auto reason = decide(flow, listener, connector, policy).reason;
    if (!facts.source) {
        if (facts.place == Place::here)
            return Need::source;
        if (facts.place == Place::peer && action_of(reason) == Action::allow)
            return allow(facts, reason); // an exempt listener needs no question
        if (facts.answer.missing)
            return *facts.answer.missing;
        return Need::answer;
    }
    const bool here = facts.place == Place::here;
    const bool lacks_own =
        lacks_credentials(destination) || (here && lacks_credentials(*facts.source));
    const bool lacks_answer =
        facts.answer.more_follows || (facts.answer.missing && lacks_credentials(*facts.source));
    if ((lacks_own || lacks_answer) && settled_by_uid(reason, flow, listener, connector, policy))
        return action_of(reason) == Action::allow ? allow(facts, reason) : reason;
    if (lacks_answer)
        return facts.answer.more_follows ? Step(Need::answer) : Step(*facts.answer.missing);
    if (lacks_own)
        return Need::credentials;
    return conclude(facts, reason);
}

} // namespace ubf
