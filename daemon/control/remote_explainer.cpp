#include "daemon/control/remote_explainer.hpp"

#include "daemon/control/explained_owner.hpp"
#include "daemon/control/request.hpp"
#include "flow/address.hpp"

#include <cstdint>
#include <fmt/format.h>

namespace ubf {
namespace {

// Beyond the time in which the other node may ask this one: it also searches.
constexpr std::chrono::milliseconds to_search{1500};

Owner owner_of(const std::optional<Uid>& uid) {
    return uid ? Owner::user(*uid) : Owner{};
}

} // namespace

bool RemoteExplainer::explain(const Json& request, const Rules& rules,
                              const ControlServer::Reply& reply) {
    const auto flow = flow_of(request);
    if (!flow || sockets_.interface_of(flow->destination.address))
        return false;
    const auto& source = flow->source.address;
    const auto& destination = flow->destination.address;
    const auto& terms = rules.terms;
    if (!sockets_.interface_of(source) || source.is_link_local() ||
        !contains(terms->peers, destination)) {
        reply(ends_elsewhere(destination));
        return true;
    }
    const auto patience = rules.deadline + to_search;
    ask_(*flow, supposed_in(request), patience,
         [this, flow = *flow, terms, patience, reply](const auto& decision) {
             reply(decision ? to_json(flow, *decision) : no_answer(flow, *terms, patience));
         });
    return true;
}

RemoteExplainer::Json RemoteExplainer::no_answer(const Flow& flow, const ident::Terms& terms,
                                                 std::chrono::milliseconds waited) {
    const auto& node = flow.destination.address;
    if (const auto version = peers_.other_version(terms.management(node)))
        return {
            {"ok", false},
            {"error", fmt::format("the ubfd of {}, which decides, speaks version {} of ident, and "
                                  "this one version {}; ask there",
                                  to_string(node), *version, ident::version)}};
    return {
        {"ok", false},
        {"error", fmt::format("the ubfd of {}, which decides, did not say within {} ms how: it is "
                              "away, older than this one, or asked too much; ask there",
                              to_string(node), waited.count())}};
}

RemoteExplainer::Json RemoteExplainer::to_json(const Flow& flow, const ident::Decision& decision) {
    const auto node = to_string(flow.destination.address);
    const auto listener = owner_of(decision.listener);
    const auto connector = owner_of(decision.connector);
    const auto action = action_of(decision.reason);
    auto steps = Json::array();
    steps.push_back(
        fmt::format("{} ends at another node, whose ubfd decides and was asked", to_string(flow)));
    if (decision.unwatched)
        steps.push_back("out of scope there: the kernel lets it pass, whatever follows here");
    for (const auto& [end, owner] : {std::pair("listener", listener), {"connector", connector}})
        steps.push_back(fmt::format("{}: {}", end,
                                    owner.kind == OwnerKind::user ? describe(owner, users_)
                                                                  : "no user is known there"));
    steps.push_back(
        fmt::format("verdict of {}: {}, {}", node, to_string(action), to_string(decision.reason)));
    if (decision.observed)
        steps.push_back("that node only observes such flows (policy.mode, policy.observe_*): it "
                        "would be refused, but is let pass");
    return {{"ok", true},
            {"flow", to_string(flow)},
            {"decided_by", node},
            {"steps", steps},
            {"listener", ubf::to_json(listener, users_)},
            {"connector", ubf::to_json(connector, users_)},
            {"verdict",
             {{"action", to_string(action)},
              {"reason", to_string(decision.reason)},
              {"observed", decision.observed},
              {"unwatched", decision.unwatched},
              {"hint", hint(decision.reason)}}}};
}

} // namespace ubf
