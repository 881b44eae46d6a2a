#include "daemon/control/explain.hpp"

#include "base/counted.hpp"
#include "base/escape.hpp"
#include "daemon/control/request.hpp"
#include "daemon/gate/node_facts.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/owners/owners.hpp"
#include "policy/beyond.hpp"

#include <array>
#include <fmt/format.h>
#include <limits>
#include <net/if.h>

namespace ubf {
namespace {

constexpr std::size_t most_questions = 64;

} // namespace

Explainer::Explainer(ident::Peers& asker, std::shared_ptr<const Rules> rules, Scope scope,
                     Sockets& sockets, Shared shared, UserCache& users,
                     const RecognitionTerms& recognised)
  : rules_(std::move(rules))
  , scope_(std::move(scope))
  , sockets_(sockets)
  , shared_(shared)
  , users_(users)
  , recognised_(recognised)
  , asker_(asker) {
    asker_.set_handler([this](const Flow& flow, ident::Peers::Heard heard, const Owner& owner) {
        answered(flow, heard, owner);
    });
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
        return reply(
            {{"ok", false},
             {"error", fmt::format("{} is not an address of this node; the listener's node "
                                   "decides, so ask there",
                                   to_string(flow->destination.address))}});
    const bool source_here = sockets_.interface_of(flow->source.address).has_value();
    Question question{.facts = {.flow = *flow}, .reply = reply};
    question.interface = source_here ? sockets_.loopback() : *here;
    question.steps.push_back(fmt::format("{} ends at this node, which decides", to_string(*flow)));
    if (add_fabric(question))
        question.steps.push_back("it comes in over the fabric: [fabric] holds");
    if (const auto why = out_of_scope(question))
        question.steps.push_back(*why);
    // No packet waits meanwhile.
    question.facts.same_destination = question.facts.fresh_labels = true;
    place(question, source_here);
    if (const auto uid = number_of<std::int64_t>(request, "as", -1);
        uid >= 0 && uid < std::numeric_limits<std::uint32_t>::max())
        suppose(question, Uid{static_cast<std::uint32_t>(uid)});
    go_on(std::move(question));
}

// By the user database alone: no program is there that could have other groups, or a label.
void Explainer::suppose(Question& question, Uid connector) {
    if (question.facts.place == Place::elsewhere)
        return; // whoever it is
    auto owner = Owner::user(connector);
    auto& credentials = owner.credentials.emplace();
    credentials.labels_known = true;
    if (const auto record = users_.find(connector, std::chrono::milliseconds(500))) {
        credentials.gid = record->gid;
        credentials.groups = record->groups;
    }
    question.facts.learn_source(std::move(owner));
    question.asked = "supposed, with the groups that the user database names, and without a label";
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
    asker_.ask(flow, flow, ident::Role::connector, std::nullopt, question.interface, group);
    asker_.flush();
    return Fact::comes_later;
}

void Explainer::find_credentials(Question& question) {
    auto& facts = question.facts;
    facts.learn_destination(
        with_credentials(question.destination, *facts.destination, ident::Role::listener));
    if (question.source)
        facts.learn_source(
            with_credentials(*question.source, *facts.source, ident::Role::connector));
}

Owner Explainer::with_credentials(const SocketOwner& socket, const Owner& owner, ident::Role role) {
    if (!lacks_credentials(owner))
        return owner;
    return shared_.owners.find_now(socket, role, Clock::now() + std::chrono::milliseconds(500));
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
        question.unheard =
            fmt::format("{}, of whom the node has no time to find out more", describe(owner));
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
        add_end("listener", describe(facts.listener()));
        if (const auto others = question.destination.sharing.size(); others != 0)
            add_end("listener", fmt::format("shares its port with {} of that user, so the least "
                                            "of them all counts",
                                            counted(others, "other socket")));
        if (!question.asked.empty())
            add_end("connector", question.asked);
        add_end("connector",
                question.unheard.empty() ? describe(facts.connector()) : question.unheard);
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
    const bool observed = action == Action::deny &&
                          is_observed(facts, question.interface, rules_->observed, sockets_);
    if (observed)
        steps.push_back("this node only observes such flows (policy.mode, policy.observe_*): it "
                        "would be refused, but is let pass");
    question.reply({{"ok", true},
                    {"flow", to_string(flow)},
                    {"steps", steps},
                    {"listener", to_json(facts.listener())},
                    {"connector", to_json(facts.connector())},
                    {"verdict",
                     {{"action", to_string(action)},
                      {"reason", to_string(reason)},
                      {"observed", observed},
                      {"hint", hint(reason)}}}});
}

std::string Explainer::describe(const Owner& owner) {
    if (owner.kind == OwnerKind::shared)
        return "sockets of several users are at this port, and nothing tells which of them it is";
    if (owner.kind != OwnerKind::user)
        return owner.kind == OwnerKind::unknown ? "no socket sends this flow now"
                                                : std::string(to_string(owner.kind));
    auto text = fmt::format("a socket of {}", users_.name(owner.uid));
    if (!owner.credentials)
        return text;
    const auto& credentials = *owner.credentials;
    if (credentials.process.pid != Pid{})
        text += fmt::format(", program {}[{}]", escape(credentials.process.comm),
                            value(credentials.process.pid));
    if (credentials.process.job != 0)
        text += fmt::format(", job {}", credentials.process.job);
    text += credentials.gid ? fmt::format(", effective gid {}", value(*credentials.gid))
                            : std::string(", no effective gid for certain");
    std::string groups;
    for (const Gid gid : credentials.groups)
        groups += fmt::format("{}{}", groups.empty() ? "" : ",", value(gid));
    return fmt::format("{}, groups {} (found by: {})", text, groups.empty() ? "none" : groups,
                       to_string(credentials.method));
}

Explainer::Json Explainer::to_json(const Owner& owner) {
    Json json{{"kind", to_string(owner.kind)}};
    if (owner.kind != OwnerKind::user)
        return json;
    json["uid"] = value(owner.uid);
    if (const auto user = users_.find(owner.uid, std::chrono::milliseconds(100)))
        json["user"] = user->name;
    if (!owner.credentials)
        return json;
    const auto& credentials = *owner.credentials;
    if (credentials.gid)
        json["gid"] = value(*credentials.gid);
    auto groups = Json::array();
    for (const Gid gid : credentials.groups)
        groups.push_back(value(gid));
    json["groups"] = groups;
    auto labels = Json::array();
    for (const auto& label : credentials.labels)
        labels.push_back(to_string(label));
    json["labels"] = labels;
    json["labels_known"] = credentials.labels_known;
    if (credentials.process.job != 0)
        json["job"] = credentials.process.job;
    if (credentials.process.pid != Pid{}) {
        json["pid"] = value(credentials.process.pid);
        json["comm"] = escape(credentials.process.comm);
    }
    json["method"] = to_string(credentials.method);
    return json;
}

} // namespace ubf
