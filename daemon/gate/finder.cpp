#include "daemon/gate/finder.hpp"

#include "daemon/core/counters.hpp"
#include "daemon/gate/node_facts.hpp"
#include "daemon/owners/owners.hpp"
#include "policy/beyond.hpp"

namespace ubf {

ident::Role role_of(const Facts& facts, Need end) {
    return (end == Need::destination) == facts.reply ? ident::Role::connector
                                                     : ident::Role::listener;
}

const SocketOwner& socket_of(const Case& item, Need end) {
    return end == Need::destination ? item.found.destination : *item.found.source;
}

Finder::Finder(std::shared_ptr<const Rules> rules, Sockets& sockets, const Shared& shared)
  : rules_(std::move(rules))
  , sockets_(sockets)
  , shared_(shared) {}

void Finder::note_translation(Case& item, const TrackedConnection& tracked) {
    item.facts.translated = true;
    if (tracked.behind() == item.flow())
        item.original = tracked.original;
}

void Finder::find_translation(Case& item) {
    if (const auto tracked = sockets_.translated(item.flow().reversed()))
        note_translation(item, *tracked);
}

std::span<const OwnerLookup::Ends> Finder::look_up(std::span<const Case> items) {
    wanted_.clear();
    for (const auto& item : items)
        wanted_.push_back(
            {item.flow(), item.interface, true, on_this_node(item), item.facts.reply});
    sockets_.find(wanted_, ends_);
    return ends_;
}

void Finder::place(Case& item, const OwnerLookup::Ends& ends) {
    auto& facts = item.facts;
    if (ends.receiver)
        item.found.destination = *ends.receiver;
    note_destination(facts, ends.receiver);
    if (facts.translated && !can_be_traced(item)) {
        facts.place = Place::elsewhere;
        facts.source = Owner::translated();
    } else if (on_this_node(item)) {
        place_here(item,
                   item.original ? sockets_.sender(*item.original, item.interface) : ends.sender);
    } else if (auto nobody = unasked(item)) {
        facts.place = Place::elsewhere;
        facts.source = std::move(*nobody);
    }
}

void Finder::place_here(Case& item, const OwnerLookup::Found& source) {
    item.facts.place = Place::here;
    if (source)
        item.found.source = *source;
    note_source(item.facts, source);
}

// A translated flow can be traced if it is a TCP connection, its flow before translation is known,
// and its sender meant an address of this node. (No notice would end a UDP flow: the notice would
// name the flow before translation.)
bool Finder::can_be_traced(const Case& item) const {
    return item.original && item.flow().protocol == Protocol::tcp &&
           (on_this_node(item) || sockets_.interface_of(item.original->destination.address));
}

std::optional<Owner> Finder::unasked(const Case& item) const {
    const auto& flow = item.sent();
    const auto& [policy, peers] = rules_->side(item.fabric);
    return ubf::unasked(flow.source.address, flow.destination.address, peers, policy);
}

void Finder::learn(Case& item, Need end, Owner owner) {
    auto& facts = item.facts;
    if (owner.credentials && item.fabric && !rules_->pkeys.empty())
        if (const auto link = sockets_.link(item.interface))
            facts.partition = rules_->partition(*link);
    if (end == Need::destination)
        return facts.learn_destination(std::move(owner));
    if (may_be_cut(owner))
        facts.answer.groups_cut = facts.place == Place::peer && !facts.reply;
    if (facts.learn_source(std::move(owner)) == Facts::Levels::contradict)
        shared_.counters.gate.levels_contradicted.add();
}

bool Finder::know_credentials(Case& item, Need end) {
    const auto& facts = item.facts;
    if (!lacks_credentials(end == Need::destination ? *facts.destination : *facts.source))
        return true;
    auto known = shared_.owners.known(socket_of(item, end), role_of(facts, end));
    if (known)
        learn(item, end, std::move(*known));
    return known.has_value();
}

void Finder::find_sharers(Case& item) {
    ubf::find_sharers(item.facts, item.found.destination, item.interface, sockets_, shared_.owners);
}

bool Finder::observes(const Case& item) {
    return is_observed(item.facts, item.interface, rules_->observed, sockets_);
}

bool Finder::is_same_destination(const Case& item) {
    return sockets_.is_receiver(item.found.destination.socket.cookie, item.flow(), item.interface);
}

bool Finder::is_stale(const Case& item) const {
    const auto& changes = shared_.owners.changes();
    return item.stale || changes.since(item.begun, item.facts.listener().uid) ||
           changes.since(item.begun, item.facts.connector().uid);
}

} // namespace ubf
