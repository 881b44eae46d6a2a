#include "daemon/tickets/portal_desk.hpp"

#include "base/json.hpp"
#include "config/portal_people.hpp"
#include "daemon/ident/silence.hpp"
#include "policy/inquiry.hpp"

#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <utility>

namespace ubf {
namespace {

// Beyond the deadline of a question to a peer. A portal's own patience is a second.
constexpr std::chrono::milliseconds grace{50};

} // namespace

PortalDesk::PortalDesk(Parts parts, Ways ways, Terms terms)
  : parts_(parts)
  , ways_(std::move(ways))
  , terms_(std::move(terms)) {
    parts_.asker.set_handler([this](const Flow& flow, ident::Peers::Heard how, const Owner& owner,
                                    TimePoint now) { heard(flow, how, owner, now); });
}

void PortalDesk::set_terms(Terms terms) {
    terms_ = std::move(terms);
    unwilling_.clear();
    found_ = {};
    parts_.asker.set_terms(terms_.rules->terms, terms_.rules->deadline);
}

std::optional<TimePoint> PortalDesk::next() const {
    const auto asking = parts_.asker.next();
    if (open_.empty())
        return asking;
    const auto first = open_.begin()->second.deadline;
    return asking ? std::min(*asking, first) : first;
}

void PortalDesk::on_time(TimePoint now) {
    parts_.asker.on_time(now);
    while (!open_.empty() && open_.begin()->second.deadline <= now) {
        const auto& [number, oldest] = *open_.begin();
        if (oldest.connector.kind == OwnerKind::unknown) // the user database has not answered
            refuse(number, Objection::busy);
        else
            conclude(number, Owner{}, Reason::no_answer);
    }
    parts_.tickets.expire(now);
}

// --- the question ---

void PortalDesk::answer(const Json& request, const Reply& reply) {
    parts_.counters.asked.add();
    const auto id = request.find("id");
    const auto may = request.find("may");
    Open open{{},
              id == request.end() ? Json() : *id,
              reply,
              ways_.clock() + terms_.rules->deadline + grace};
    if (may == request.end() || !open.id.is_number_integer())
        return refuse(open, Objection::malformed);
    auto question = portal_question(*may);
    if (!question)
        return refuse(open, question.error());
    open.question = std::move(*question);
    if (const auto objection = check(open.question, open.place))
        return refuse(open, *objection);
    const auto whom = open.question.user;
    const auto theirs = open_of_.find(whom);
    if (open_.size() >= most_open ||
        (theirs != open_of_.end() && theirs->second >= most_open_of_one))
        return refuse(open, Objection::busy);
    const auto number = keep(std::move(open));
    if (const auto user = ways_.known_user(whom))
        return found_user(number, user);
    const bool asked = ways_.find_user(whom, [this, number](std::optional<UserCache::User> user) {
        ways_.post([this, number, user = std::move(user)] { found_user(number, user); });
    });
    if (!asked)
        refuse(number, Objection::busy);
}

PortalDesk::Number PortalDesk::keep(Open open) {
    ++open_of_[open.question.user];
    open_.emplace(++last_number_, std::move(open));
    return last_number_;
}

std::optional<PortalDesk::Open> PortalDesk::take(Number number) {
    auto node = open_.extract(number);
    if (!node)
        return std::nullopt;
    const auto theirs = open_of_.find(node.mapped().question.user);
    if (--theirs->second == 0)
        open_of_.erase(theirs);
    return std::move(node.mapped());
}

std::optional<Objection> PortalDesk::check(const PortalQuestion& question, TargetPlace& place) {
    const auto& portal = terms_.portal;
    if (!portal.is_user(question.portal))
        return Objection::not_a_portal;
    if (question.source && !std::ranges::binary_search(portal.source_ports, question.source->port))
        return Objection::malformed;
    const auto found = place_of(question.target, way_to(question.target.address).here,
                                {terms_.targets, terms_.rules->ethernet.policy, terms_.scope});
    if (!found)
        return Objection::not_a_target;
    place = *found;
    return std::nullopt;
}

// An address that comes or goes is noticed a second later. Until then nobody gets in by mistake:
// the gate of the listener's node decides.
const PortalDesk::Way& PortalDesk::way_to(const Address& target) {
    const auto now = ways_.clock();
    if (const auto* known = found_.ways.find(target, now))
        return *known;
    Way way;
    way.here = parts_.sockets.interface_of(target).has_value();
    way.source = way.here ? target : ways_.source_to(target);
    return found_.ways.put(target, way, now);
}

// For people to read. The process asks on its own behalf, so that it is there still.
Process PortalDesk::program_of(const PortalQuestion& question) {
    if (question.pid == Pid{})
        return {};
    const auto now = ways_.clock();
    if (const auto* known = found_.programs.find(question.pid, now))
        return {question.pid, *known, 0};
    std::ifstream file(fmt::format("/proc/{}/comm", value(question.pid)));
    std::string name;
    std::getline(file, name);
    return {question.pid, found_.programs.put(question.pid, std::move(name), now), 0};
}

// --- the user ---

void PortalDesk::found_user(Number number, const std::optional<UserCache::User>& user) {
    const auto found = open_.find(number);
    if (found == open_.end())
        return; // it took too long
    auto& open = found->second;
    const auto& rules = *terms_.rules;
    if (!user ||
        !may_speak_for(user->uid, terms_.portal, rules.ethernet.policy, rules.fabric.policy))
        return refuse(number, Objection::no_user);
    open.connector = ways_.owner_of(*user, open.question.portal, program_of(open.question));
    find_listener(number, open);
}

// --- the listener ---

void PortalDesk::find_listener(Number number, Open& open) {
    const auto& target = open.question.target;
    const auto source = way_to(target.address).source;
    if (!source || source->is_v4() != target.address.is_v4())
        return refuse(number, Objection::not_a_target); // no route
    open.flow = {Protocol::tcp, {*source, 0}, target};
    if (open.place.here)
        find_here(number, open);
    else
        ask_node(number, open);
}

void PortalDesk::find_here(Number number, const Open& open) {
    const auto interface = parts_.sockets.loopback();
    auto found = parts_.sockets.listener(open.question.target, interface);
    if (!found)
        return found.error() == LookupError::none
                   ? conclude(number, Owner{}, Reason::no_listener)
                   : conclude(number, Owner{}, Reason::internal_error);
    if (found->owner.kind != OwnerKind::user)
        return found_listener(number, found->owner, true);
    if (parts_.owners.may_share(open.question.target.port) &&
        parts_.sockets.add_sharing(*found, open.flow, interface))
        return conclude(number, Owner::shared(), Reason::shared_port);
    if (const auto owner = parts_.owners.known(*found, ident::Role::listener))
        return found_listener(number, *owner, true);
    const bool begun =
        parts_.owners.find(*found, ident::Role::listener, ways_.clock() + terms_.rules->deadline,
                           [this, number](Owner owner, bool in_time) {
                               ways_.post([this, number, in_time, owner = std::move(owner)] {
                                   found_listener(number, owner, in_time);
                               });
                           });
    if (!begun)
        refuse(number, Objection::busy);
}

// Questions about one place wait for one answer. An answer of a moment ago counts if it allows: the
// gate of that node decides about the connection, whoever listens there by then.
void PortalDesk::ask_node(Number number, const Open& open) {
    const Flow flow = open.flow.reversed(); // from the listener's end to ours
    const auto now = ways_.clock();
    if (const auto* known = found_.listeners.find(flow, now)) {
        const auto reason = judge(open, *known, true);
        if (reason && action_of(*reason) == Action::allow)
            return conclude(number, *known, *reason);
    }
    if (const auto asked = asked_.find(flow); asked != asked_.end())
        return asked->second.numbers.push_back(number);
    if (is_away(terms_.rules->terms->management(flow.source.address), now))
        return conclude(number, Owner{}, Reason::no_answer);
    asked_.emplace(flow, Waiting{now, {number}});
    parts_.asker.ask(flow, flow, ident::Role::listener, std::nullopt, 0, std::nullopt, now);
    parts_.asker.flush(now);
}

// A node that did not answer lately is asked once a second, so that few people wait for it.
bool PortalDesk::is_away(const Address& peer, TimePoint now) const {
    using Standing = PeerTable::Standing;
    const auto standing = parts_.peers.standing(peer, now);
    return (standing == Standing::doubtful || standing == Standing::silent) &&
           !parts_.peers.may_try(peer, now);
}

void PortalDesk::heard(const Flow& flow, ident::Peers::Heard how, const Owner& owner,
                       TimePoint now) {
    using Heard = ident::Peers::Heard;
    if (how == Heard::uid)
        return; // the rest follows
    const auto node = asked_.extract(flow);
    if (!node)
        return;
    const bool silent = how == Heard::nothing || how == Heard::unsent;
    // Without credentials, the node has not even looked.
    const bool unwilling = !silent && owner.kind == OwnerKind::unknown && !owner.credentials;
    if (unwilling)
        name_unwilling(flow.source.address);
    if (how == Heard::nothing)
        note_silence(terms_.rules->terms->management(flow.source.address), node.mapped().since,
                     now);
    if (how == Heard::owner && owner.kind == OwnerKind::user)
        found_.listeners.put(flow, owner, now);
    for (const auto number : node.mapped().numbers) {
        if (silent || unwilling)
            conclude(number, Owner{}, Reason::no_answer);
        else if (owner.kind == OwnerKind::unknown)
            conclude(number, Owner{}, Reason::no_listener);
        else
            found_listener(number, owner, how == Heard::owner);
    }
}

void PortalDesk::note_silence(const Address& peer, TimePoint asked, TimePoint now) {
    report_silence_of(peer, asked, parts_.peers, parts_.log, now);
    static_cast<void>(parts_.peers.may_try(peer, now)); // the pause begins
}

void PortalDesk::name_unwilling(const Address& address) {
    constexpr std::size_t most_named = 1024;
    if (unwilling_.size() < most_named && unwilling_.insert(address).second)
        parts_.log.warning(fmt::format(
            "{} does not tell this node who listens there, so portals do not reach it: its ubfd is "
            "older, or its portal.peers lacks this node",
            to_string(address)));
}

// --- the decision ---

const Policy& PortalDesk::policy_of(const Open& open) const {
    return terms_.rules->side(open.place.fabric).policy;
}

bool PortalDesk::is_observed(const Open& open) const {
    const auto& observed = terms_.rules->observed;
    return observed.any() && observed.covers(open.flow, open.flow.source.address, open.place.name);
}

// As the gate of the listener's node will decide, by the same function. A ticket lets nobody in:
// the gate decides about the connection once more.
void PortalDesk::found_listener(Number number, const Owner& listener, bool in_time) {
    const auto found = open_.find(number);
    if (found == open_.end())
        return;
    if (const auto reason = judge(found->second, listener, in_time))
        conclude(number, listener, *reason);
    else
        refuse(number, Objection::busy); // for want of credentials, nobody is denied
}

std::optional<Reason> PortalDesk::judge(const Open& open, const Owner& listener,
                                        bool in_time) const {
    Facts facts;
    facts.flow = open.flow;
    facts.place = Place::here;
    facts.destination = listener;
    facts.source = open.connector;
    facts.sharers_known = true;
    facts.same_destination = facts.fresh_labels = true;
    if (!in_time)
        facts.out_of_time = Reason::overload;
    const auto step = ubf::next(facts, policy_of(open));
    const auto* reason = std::get_if<Reason>(&step);
    return reason == nullptr || action_of(*reason) == Action::drop ? std::nullopt
                                                                   : std::optional(*reason);
}

void PortalDesk::conclude(Number number, const Owner& listener, Reason reason) {
    const auto taken = take(number);
    if (!taken)
        return;
    const auto& open = *taken;
    const auto& target = open.question.target;
    if (action_of(reason) == Action::deny) {
        const bool observed = is_observed(open);
        parts_.log.denial({open.flow, reason, open.connector, listener,
                           terms_.rules->labelled && reason != Reason::no_answer
                               ? compare_labels(listener, open.connector, policy_of(open))
                               : std::string(),
                           false, observed});
        if (observed)
            reason = Reason::observed;
    }
    if (action_of(reason) != Action::allow) {
        parts_.counters.refused.add(reason);
        return open.reply({{"id", open.id},
                           {"allowed", false},
                           {"reason", to_string(reason)},
                           {"explain", explain(reason)},
                           {"status", http_status(reason)}});
    }
    const auto now = ways_.clock();
    parts_.tickets.add(
        {open.question.portal,
         target,
         {open.connector.uid, std::make_shared<const Process>(open.connector.credentials->process)},
         open.question.source,
         now + terms_.portal.ticket},
        now);
    parts_.counters.allowed.add();
    open.reply({{"id", open.id},
                {"allowed", true},
                {"reason", to_string(reason)},
                {"address", to_string(target)}});
}

void PortalDesk::refuse(Number number, Objection objection) {
    if (auto open = take(number))
        refuse(*open, objection);
}

void PortalDesk::refuse(Open& open, Objection objection) {
    parts_.counters.objected.add(objection);
    open.reply({{"id", open.id},
                {"allowed", false},
                {"reason", to_string(objection)},
                {"explain", explain(objection)},
                {"status", http_status(objection)}});
}

} // namespace ubf
