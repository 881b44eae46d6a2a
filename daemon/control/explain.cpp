#include "daemon/control/explain.hpp"

#include "base/escape.hpp"
#include "daemon/control/request.hpp"
#include "flow/own_address.hpp"
#include "policy/beyond.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/tcp.h>

namespace ubf {
namespace {

constexpr std::size_t most_questions = 64;

} // namespace

Explainer::Explainer(EventLoop& loop, ident::Asker& asker, std::shared_ptr<const Rules> rules,
                     Scopes scopes, Shared shared, UserCache& users,
                     const RecognitionTerms& recognised)
  : rules_(std::move(rules))
  , scopes_(std::move(scopes))
  , shared_(shared)
  , users_(users)
  , recognised_(recognised)
  , asker_(asker) {
    asker_.set_handler([this](const Flow& flow, ident::Asker::Heard heard, const Owner& owner) {
        answered(flow, heard, owner);
    });
    loop.watch(asker_.fd(), [this] { asker_.receive(); });
}

void Explainer::set_rules(std::shared_ptr<const Rules> rules, Scopes scopes) {
    rules_ = std::move(rules);
    scopes_ = std::move(scopes);
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
    const auto here = interface_of(flow->destination.address);
    if (!here)
        return reply(
            {{"ok", false},
             {"error", fmt::format("{} is not an address of this node; the listener's node "
                                   "decides, so ask there",
                                   to_string(flow->destination.address))}});
    Question question;
    question.reply = reply;
    auto& steps = question.steps;
    steps.push_back(fmt::format("{} ends at this node, which decides", to_string(*flow)));
    const auto sender_here = interface_of(flow->source.address);
    const auto interface = sender_here ? ::if_nametoindex("lo") : *here;
    add_fabric(question, interface);
    if (const auto why = out_of_scope(*flow, question.fabric))
        steps.push_back(*why);
    const auto listener = lookup_.receiver(*flow, interface);
    if (!listener && listener.error() != LookupError::ambiguous) {
        steps.push_back(fmt::format("listener: no socket at {}", to_string(flow->destination)));
        return reply({{"ok", true},
                      {"flow", to_string(*flow)},
                      {"steps", steps},
                      {"listener", to_json(Owner{})},
                      {"connector", to_json(Owner{})},
                      {"verdict",
                       {{"action", to_string(Action::closed)},
                        {"reason", to_string(Reason::no_listener)},
                        {"hint", hint(Reason::no_listener)}}}});
    }
    if (listener)
        question.listener = *listener;
    else
        question.listener.owner = Owner::shared();
    add_sharing(question.listener, *flow, interface);
    add_credentials(question.listener, question.listener.owner, ident::Role::listener);
    steps.push_back(fmt::format("listener: {}", describe(question.listener.owner)));
    if (const auto others = question.listener.sharing.size(); others != 0)
        steps.push_back(
            fmt::format("listener: shares its port with {} other socket{} of that user, "
                        "so the least of them all counts",
                        others, others == 1 ? "" : "s"));

    if (sender_here) {
        steps.push_back("connector: on this node as well, nobody is asked");
        Owner connector;
        if (const auto sender = lookup_.sender(*flow, interface)) {
            connector = sender->owner;
            add_credentials(*sender, connector, ident::Role::connector);
        } else if (sender.error() == LookupError::ambiguous) {
            connector = Owner::shared();
        }
        return conclude(*flow, std::move(question), std::move(connector));
    }
    const auto& side = rules_->side(question.fabric);
    if (auto nobody =
            unasked(flow->source.address, flow->destination.address, side.peers, side.policy)) {
        steps.push_back(fmt::format("connector: {} is {}", to_string(flow->source.address),
                                    nobody->kind == OwnerKind::unready
                                        ? "of a node that does not run ubfd yet (peers.unready)"
                                        : "in none of the peers' ranges"));
        return conclude(*flow, std::move(question), std::move(*nobody));
    }
    if (questions_.contains(*flow) || questions_.size() >= most_questions)
        return reply({{"ok", false}, {"error", "this is being asked already; try again"}});
    steps.push_back(
        fmt::format("connector: asked the ubfd of {}", to_string(flow->source.address)));
    questions_.emplace(*flow, std::move(question));
    asker_.ask(*flow, *flow, ident::Role::connector, std::nullopt, *here);
    asker_.flush();
}

void Explainer::add_fabric(Question& question, std::uint32_t interface) {
    const auto link = links_.find(interface);
    question.fabric = scopes_.fabric && link && link->is_fabric();
    if (!question.fabric)
        return;
    question.steps.push_back("it comes in over the fabric: [fabric] holds");
    question.partition = rules_->partition(*link);
}

std::optional<std::string> Explainer::out_of_scope(const Flow& flow, bool fabric) const {
    const Port port = flow.destination.port;
    const auto& scope = fabric ? *scopes_.fabric : scopes_.ethernet;
    for (const auto& exempt : scope.exempt_ports)
        if (exempt.has(flow.protocol, port))
            return fmt::format("port {} is exempt: the kernel lets it pass, whatever follows here",
                               port);
    const bool in_scope = std::ranges::any_of(
        scope.ports, [&](const PortRange& range) { return range.contains(port); });
    if (!in_scope)
        return fmt::format(
            "port {} is out of scope: the kernel lets it pass, whatever follows here", port);
    return std::nullopt;
}

void Explainer::add_sharing(SocketOwner& listener, const Flow& flow, std::uint32_t interface) {
    if (flow.protocol != Protocol::tcp || listener.socket.state != TCP_LISTEN)
        return;
    if (lookup_.add_sharing(listener, flow, interface))
        listener.owner = Owner::shared();
}

void Explainer::add_credentials(const SocketOwner& socket, Owner& owner, ident::Role role) {
    if (owner.kind == OwnerKind::user)
        owner = shared_.investigator.find_now(socket, role,
                                              Clock::now() + std::chrono::milliseconds(500));
}

void Explainer::answered(const Flow& flow, ident::Asker::Heard heard, const Owner& owner) {
    using Heard = ident::Asker::Heard;
    if (heard == Heard::uid) // more follows
        return;
    auto node = questions_.extract(flow);
    if (!node)
        return;
    auto& question = node.mapped();
    if (heard == Heard::owner)
        return conclude(flow, std::move(question), owner);
    const bool unheard = heard == Heard::nothing;
    if (unheard)
        question.steps.push_back(
            fmt::format("connector: no answer within {} ms", rules_->deadline.count()));
    else if (heard == Heard::unsent)
        question.steps.push_back("connector: the question could not be sent, for want of room in "
                                 "the kernel");
    else
        question.steps.push_back(fmt::format("connector: {}, of whom the node has no time to find "
                                             "out more",
                                             describe(owner)));
    const auto reason = unheard ? Reason::no_answer : Reason::overload;
    question.reply({{"ok", true},
                    {"flow", to_string(flow)},
                    {"steps", question.steps},
                    {"listener", to_json(question.listener.owner)},
                    {"connector", to_json(owner)},
                    {"verdict",
                     {{"action", to_string(action_of(reason))},
                      {"reason", to_string(reason)},
                      {"hint", hint(reason)}}}});
}

void Explainer::conclude(const Flow& flow, Question question, Owner connector) {
    auto& listener = question.listener.owner;
    question.steps.push_back(fmt::format("connector: {}", describe(connector)));
    if (question.partition)
        for (auto* owner : {&listener, &connector})
            carry(*owner, *question.partition);
    const auto& policy = rules_->side(question.fabric).policy;
    if (rules_->labelled)
        question.steps.push_back(compare_labels(listener, connector, policy));
    const auto verdict = decide(flow, listener, connector, policy);
    question.steps.push_back(
        fmt::format("verdict: {}, {}", to_string(verdict.action()), to_string(verdict.reason)));
    if (verdict.reason == Reason::same_user && flow.protocol == Protocol::tcp &&
        is_recognised(recognised_, question.fabric ? UBF_SIDE_FABRIC : UBF_SIDE_ETHERNET,
                      flow.source.address, connector.uid))
        question.steps.push_back("the kernel recognises such connections by themselves, where the "
                                 "connector's node has put a stamp on them: ubfd is not asked");
    question.reply({{"ok", true},
                    {"flow", to_string(flow)},
                    {"steps", question.steps},
                    {"listener", to_json(listener)},
                    {"connector", to_json(connector)},
                    {"verdict",
                     {{"action", to_string(verdict.action())},
                      {"reason", to_string(verdict.reason)},
                      {"hint", hint(verdict.reason)}}}});
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
