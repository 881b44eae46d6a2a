#include "daemon/control/explain.hpp"

#include "base/counted.hpp"
#include "daemon/control/explained_owner.hpp"
#include "daemon/control/request.hpp"
#include "daemon/gate/node_facts.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/owners/owners.hpp"
#include "policy/beyond.hpp"

#include <array>
#include <fmt/format.h>
#include <net/if.h>

namespace ubf {
namespace {

constexpr std::size_t most_questions = 64;

} // namespace

Explainer::Explainer(ident::Peers& asker, std::shared_ptr<const Rules> rules, Scope scope,
                     Sockets& sockets, const Shared& shared, UserCache& users,
                     const RecognitionTerms& recognised)
  : rules_(std::move(rules))
  , scope_(std::move(scope))
  , sockets_(sockets)
  , shared_(shared)
  , users_(users)
  , recognised_(recognised)
  , asker_(asker) {
    asker_.set_handler([this](const Flow& flow, ident::Peers::Heard heard, const Owner& owner,
                              TimePoint) { answered(flow, heard, owner); });
}

void Explainer::set_rules(std::shared_ptr<const Rules> rules, Scope scope) {
    rules_ = std::move(rules);
    scope_ = std::move(scope);
    asker_.set_terms(rules_->terms, rules_->deadline);
}

void Explainer::on_time(TimePoint now) {
    asker_.on_time(now);
}

void Explainer::explain(const Json& request, const ControlServer::Reply& reply) {
    const auto flow = flow_of(request);
    if (!flow)
        return reply({{"ok", false},
                      {"error", "explain takes two endpoints of one family, like 10.0.0.1:4000 and "
                                "10.0.0.2:80 or [fd00::1]:4000 and [fd00::2]:80, and tcp or udp"}});
    const auto here = sockets_.interface_of(flow->destination.address);
    if (!here)
        return reply(ends_elsewhere(flow->destination.address));
    Question question;
    question.facts.flow = *flow;
    question.reply = reply;
    begin(std::move(question), *here, supposed_in(request));
}

void Explainer::decide(const ident::Inquiry& inquiry, Decided decided) {
    const auto here = sockets_.interface_of(inquiry.flow.destination.address);
    Question question{.facts = {.flow = inquiry.flow}, .decided = std::move(decided)};
    if (!here) // an address that has just gone
        return question.decided(to_decision(question, Reason::internal_error, false));
    begin(std::move(question), *here, inquiry.as);
}

void Explainer::begin(Question question, std::uint32_t arrives_at, std::optional<Uid> as) {
    const auto& flow = question.facts.flow;
    const bool source_here = sockets_.interface_of(flow.source.address).has_value();
    question.interface = source_here ? sockets_.loopback() : arrives_at;
    question.steps.push_back(fmt::format("{} ends at this node, which decides", to_string(flow)));
    if (add_fabric(question))
        question.steps.push_back("it comes in over the fabric: [fabric] holds");
    if (const auto why = out_of_scope(question)) {
        question.unwatched = true;
        question.steps.push_back(*why);
    }
    // No packet waits meanwhile.
    question.facts.same_destination = question.facts.fresh_labels = true;
    place(question, source_here);
    if (as)
        suppose(question, *as);
    go_on(std::move(question));
}

// A peer's inquiries hold up this thread less than root's own.
std::chrono::milliseconds Explainer::patience(const Question& question) {
    return std::chrono::milliseconds(question.decided ? 100 : 500);
}

// By the user database alone: no program is there that could have other groups, or a label.
void Explainer::suppose(Question& question, Uid connector) {
    if (question.facts.place == Place::elsewhere)
        return; // whoever it is
    auto owner = Owner::user(connector);
    auto& credentials = owner.credentials.emplace();
    credentials.labels_known = true;
    const auto record = users_.find(connector, patience(question));
    if (record) {
        credentials.gid = record->gid;
        credentials.groups = record->groups;
    }
    question.facts.learn_source(std::move(owner));
    question.asked =
        record ? "supposed, with the groups that the user database names, and without a label"
               : "supposed, without groups and without a label: the user database does not know "
                 "this user, or has not answered yet";
    question.unheard.clear();
}

bool Explainer::add_fabric(Question& question) {
    const auto link = sockets_.link(question.interface);
    question.fabric = scope_.fabric && link && link->is_fabric();
    if (question.fabric)
        question.facts.partition = rules_->partition(*link);
    return question.fabric;
}

std::optional<std::string> Explainer::out_of_scope(const Question& question) const {
    const auto& flow = question.facts.flow;
    const Port port = flow.destination.port;
    std::array<char, IF_NAMESIZE> interface {};
    ::if_indextoname(question.interface, interface.data());
    const auto passes = [](const std::string& what) {
        return fmt::format("{}: the kernel lets it pass, whatever follows here", what);
    };
    switch (scope_.of(flow.protocol, port, interface.data(), question.fabric)) {
    case Scope::Why::watched:
        return std::nullopt;
    case Scope::Why::exempt_port:
        return passes(fmt::format("port {} is exempt", port));
    case Scope::Why::other_port:
        return passes(fmt::format("port {} is out of scope", port));
    case Scope::Why::other_interface:
        return passes(fmt::format("{} is not watched (scope.interfaces)", interface.data()));
    }
    return std::nullopt;
}

void Explainer::place(Question& question, bool source_here) {
    auto& facts = question.facts;
    const auto& [protocol, source, destination] = facts.flow;
    const auto& side = rules_->side(question.fabric);
    if (source_here) {
        facts.place = Place::here;
        question.asked = "on this node as well, nobody is asked";
    } else if (auto nobody =
                   unasked(source.address, destination.address, side.peers, side.policy)) {
        facts.place = Place::elsewhere;
        question.asked = fmt::format("{} is {}", to_string(source.address),
                                     nobody->kind == OwnerKind::unready
                                         ? "of a node that does not run ubfd yet (peers.unready)"
                                         : "in none of the peers' ranges");
        facts.source = std::move(*nobody);
    } else {
        question.unheard = "not asked about, for it makes no difference";
    }
}

void Explainer::go_on(Question question) {
    for (;;) {
        const auto step = ubf::next(question.facts, rules_->side(question.fabric).policy);
        if (const auto* reason = std::get_if<Reason>(&step))
            return conclude(std::move(question), *reason);
        if (find(question, std::get<Need>(step)) == Fact::known)
            continue;
        const auto flow = question.facts.flow;
        questions_.emplace(flow, std::move(question));
        return;
    }
}

Explainer::Fact Explainer::find(Question& question, Need need) {
    switch (need) {
    case Need::destination:
        find_destination(question);
        break;
    case Need::source:
        find_source(question);
        break;
    case Need::answer:
        return ask(question);
    case Need::group:
        question.facts.answer.group_asked = true;
        question.facts.source.reset();
        return ask(question, question.facts.destination->credentials->gid);
    case Need::credentials:
        find_credentials(question);
        break;
    case Need::sharers:
        find_sharers(question);
        break;
    case Need::same_destination:
    case Need::fresh_labels: // set already
        question.facts.failed = Reason::internal_error;
        break;
    }
    return Fact::known;
}

void Explainer::find_destination(Question& question) {
    auto& facts = question.facts;
    const auto found = sockets_.receiver(facts.flow, question.interface);
    if (found)
        question.destination = *found;
    note_destination(facts, found);
}

void Explainer::find_source(Question& question) {
    auto& facts = question.facts;
    const auto found = sockets_.sender(facts.flow, question.interface);
    if (found)
        question.source = *found;
    note_source(facts, found);
}

Explainer::Fact Explainer::ask(Question& question, std::optional<Gid> group) {
    const auto& flow = question.facts.flow;
    if (questions_.contains(flow) || questions_.size() >= most_questions) {
        question.facts.answer.missing = Reason::overload;
        question.unheard = "not asked about, for too much is being asked already; try again";
        return Fact::known;
    }
    question.asked = fmt::format("asked the ubfd of {}", to_string(flow.source.address));
    question.unheard.clear();
    const auto now = shared_.clock(); // a search may have gone before
    asker_.ask(flow, flow, ident::Role::connector, std::nullopt, question.interface, group, now);
    asker_.flush(now);
    return Fact::comes_later;
}

void Explainer::find_credentials(Question& question) {
    auto& facts = question.facts;
    const auto until = [&] { return shared_.clock() + patience(question); };
    facts.learn_destination(
        with_credentials(question.destination, *facts.destination, ident::Role::listener, until()));
    if (question.source)
        facts.learn_source(
            with_credentials(*question.source, *facts.source, ident::Role::connector, until()));
}

Owner Explainer::with_credentials(const SocketOwner& socket, const Owner& owner, ident::Role role,
                                  TimePoint deadline) {
    return lacks_credentials(owner) ? shared_.owners.find_now(socket, role, deadline) : owner;
}

void Explainer::find_sharers(Question& question) {
    ubf::find_sharers(question.facts, question.destination, question.interface, sockets_,
                      shared_.owners);
}

// The reader is told what makes no difference, too.
void Explainer::find_the_rest(Question& question) {
    auto& facts = question.facts;
    if (!facts.sharers_known && facts.destination->kind == OwnerKind::user)
        find_sharers(question);
    find_credentials(question);
}

void Explainer::answered(const Flow& flow, ident::Peers::Heard heard, const Owner& owner) {
    using Heard = ident::Peers::Heard;
    if (heard == Heard::uid) // more follows
        return;
    auto node = questions_.extract(flow);
    if (!node)
        return;
    auto& question = node.mapped();
    auto& facts = question.facts;
    switch (heard) {
    case Heard::uid:
        break;
    case Heard::busy:
    case Heard::late:
        question.unheard = fmt::format("{}, of whom the node has no time to find out more",
                                       describe(owner, users_));
        (owner.credentials ? facts.out_of_time : facts.answer.missing) = Reason::overload;
        [[fallthrough]];
    case Heard::owner:
        facts.answer.groups_cut = may_be_cut(owner);
        facts.learn_source(owner);
        break;
    case Heard::nothing:
        question.unheard = fmt::format("no answer within {} ms", rules_->deadline.count());
        facts.answer.missing =
            shared_.peers.other_version(rules_->terms->management(flow.source.address))
                ? Reason::other_version
                : Reason::no_answer;
        break;
    case Heard::unsent:
        question.unheard = "the question could not be sent, for want of room in the kernel";
        facts.answer.missing = Reason::overload;
        break;
    }
    go_on(std::move(question));
}

void Explainer::conclude(Question question, Reason reason) {
    const bool observed =
        action_of(reason) == Action::deny &&
        is_observed(question.facts, question.interface, rules_->observed, sockets_);
    if (question.decided)
        return question.decided(to_decision(question, reason, observed));
    show(std::move(question), reason, observed);
}

ident::Decision Explainer::to_decision(const Question& question, Reason reason, bool observed) {
    const auto uid_of = [](const std::optional<Owner>& owner) {
        return owner && owner->kind == OwnerKind::user ? std::optional(owner->uid) : std::nullopt;
    };
    return {{},
            reason,
            observed,
            question.unwatched,
            uid_of(question.facts.source),
            uid_of(question.facts.destination)};
}

void Explainer::show(Question question, Reason reason, bool observed) {
    auto& facts = question.facts;
    auto& steps = question.steps;
    const auto& flow = facts.flow;
    const auto add_end = [&](std::string_view end, const std::string& what) {
        steps.push_back(fmt::format("{}: {}", end, what));
    };
    if (reason == Reason::no_listener) {
        add_end("listener", fmt::format("no socket at {}", to_string(flow.destination)));
    } else {
        if (reason != Reason::internal_error)
            find_the_rest(question);
        add_end("listener", describe(facts.listener(), users_));
        if (const auto others = question.destination.sharing.size(); others != 0)
            add_end("listener", fmt::format("shares its port with {} of that user, so the least "
                                            "of them all counts",
                                            counted(others, "other socket")));
        if (!question.asked.empty())
            add_end("connector", question.asked);
        add_end("connector",
                question.unheard.empty() ? describe(facts.connector(), users_) : question.unheard);
    }
    const auto& policy = rules_->side(question.fabric).policy;
    if (rules_->labelled && facts.source)
        steps.push_back(compare_labels(facts.listener(), facts.connector(), policy));
    const auto action = action_of(reason);
    if (reason != Reason::no_listener)
        steps.push_back(fmt::format("verdict: {}, {}", to_string(action), to_string(reason)));
    if (reason == Reason::same_user && flow.protocol == Protocol::tcp &&
        is_recognised(recognised_, question.fabric ? UBF_SIDE_FABRIC : UBF_SIDE_ETHERNET,
                      flow.source.address, facts.connector().uid))
        steps.push_back("the kernel recognises such connections by themselves, where the "
                        "connector's node has put a stamp on them: ubfd is not asked");
    if (observed)
        steps.push_back("this node only observes such flows (policy.mode, policy.observe_*): it "
                        "would be refused, but is let pass");
    question.reply({{"ok", true},
                    {"flow", to_string(flow)},
                    {"steps", steps},
                    {"listener", to_json(facts.listener(), users_)},
                    {"connector", to_json(facts.connector(), users_)},
                    {"verdict",
                     {{"action", to_string(action)},
                      {"reason", to_string(reason)},
                      {"observed", observed},
                      {"hint", hint(reason)}}}});
}

} // namespace ubf
