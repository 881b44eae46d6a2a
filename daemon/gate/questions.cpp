#include "daemon/gate/questions.hpp"

#include "daemon/gate/finder.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/silence.hpp"
#include "daemon/owners/owners.hpp"

#include <utility>

namespace ubf {

Reason for_want_of_time(const Case& item) {
    return item.again ? Reason::no_answer_yet : Reason::overload;
}

Questions::Questions(ident::Peers& asker, std::shared_ptr<const Rules> rules, const Shared& shared)
  : asker_(asker)
  , rules_(std::move(rules))
  , shared_(shared) {}

void Questions::set_rules(std::shared_ptr<const Rules> rules) {
    rules_ = std::move(rules);
    asker_.set_terms(rules_->terms, rules_->deadline);
}

Questions::Sent Questions::ask(Case& item, std::optional<Gid> group, TimePoint now) {
    auto& facts = item.facts;
    if (!item.again && !group && is_silent(item, now)) {
        ask_in_passing(item, now);
        facts.answer.missing = silence_of(item);
        return {};
    }
    std::optional<Uid> same_as;
    const bool uid_may_do = facts.destination->kind == OwnerKind::user && !group &&
                            !rules_->side(item.fabric).policy.require_label;
    if (uid_may_do)
        same_as = facts.destination->uid;
    Sent sent;
    sent.gave_way = send(item, same_as, group, now);
    sent.yes = item.question.open.has_value();
    if (!sent.yes)
        facts.answer.missing = Reason::overload;
    return sent;
}

// The question, if there was room for it; and the flow whose question gave way.
std::optional<Flow> Questions::send(Case& item, std::optional<Uid> same_as,
                                    std::optional<Gid> group, TimePoint now) {
    const auto peer = peer_of(item);
    const auto begun = open_.begin(item.flow(), peer, shared_.peers.standing(peer, now),
                                   shared_.owners.account_of(item.found.destination.owner.uid));
    if (begun.has_room)
        item.question.open = asker_.ask(item.flow(), item.sent(), role_of(item.facts, Need::source),
                                        same_as, item.interface, group, now);
    return begun.gave_way;
}

// Whether the peer is there by now. The packet does not wait for it.
void Questions::ask_in_passing(const Case& item, TimePoint now) {
    if (shared_.peers.may_try(peer_of(item), now))
        asker_.ask(item.flow(), item.sent(), role_of(item.facts, Need::source), std::nullopt,
                   item.interface, std::nullopt, now);
}

void Questions::withdraw(Case& item) {
    if (!item.question.open)
        return;
    asker_.withdraw(*std::exchange(item.question.open, std::nullopt));
    open_.end(item.flow());
}

std::optional<Flow> Questions::name(const Flow& flow, Uid uid) {
    return open_.name(flow, shared_.owners.account_of(uid));
}

void Questions::answered(Case& item, Heard heard, const Owner& owner, TimePoint now) {
    auto& facts = item.facts;
    item.question.open.reset();
    facts.answer.more_follows = false;
    switch (heard) {
    case Heard::uid:
    case Heard::owner:
        break;
    case Heard::busy:
    case Heard::late:
        (owner.credentials ? facts.out_of_time : facts.answer.missing) = for_want_of_time(item);
        break;
    case Heard::nothing:
        report_silence_of(peer_of(item), item.since, shared_.peers, shared_.log, now);
        // Unless its node said that nobody is there, it may be slow, once: who sends the packet
        // again is refused if it is silent still.
        facts.answer.missing =
            shared_.peers.refuses(peer_of(item), item.since) || is_silent(item, now)
                ? silence_of(item)
                : Reason::no_answer_yet;
        break;
    case Heard::unsent:
        facts.answer.missing = Reason::overload;
        break;
    }
}

// The address at which the ubfd of its source is asked.
Address Questions::peer_of(const Case& item) const {
    return rules_->terms->management(item.sent().source.address);
}

bool Questions::is_silent(const Case& item, TimePoint now) const {
    return shared_.peers.standing(peer_of(item), now) == PeerTable::Standing::silent;
}

Reason Questions::silence_of(const Case& item) const {
    return shared_.peers.other_version(peer_of(item)) ? Reason::other_version : Reason::no_answer;
}

} // namespace ubf
