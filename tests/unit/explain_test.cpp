// The gate and explain come to one verdict, in some two thousand small worlds.
#include "daemon/control/explain.hpp"

#include "daemon/core/mailbox.hpp"
#include "daemon/gate/judge.hpp"
#include "tests/unit/world.hpp"

#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <set>

namespace ubf {
namespace {

using namespace world;
using Heard = ident::Peers::Heard;

struct Answer {
    Heard heard;
    Owner owner;
};

using SetUp = std::function<void(World&)>;

const RecognitionTerms nobody_is_recognised{};

Explainer explainer_of(World& world, UserCache& users) {
    return {world.peers, world.rules(),       Scope{}, world.sockets, world.shared(),
            users,       nobody_is_recognised};
}

Explainer::Json request_about(const Flow& flow) {
    return {
        {"from", to_string(flow.source)}, {"to", to_string(flow.destination)}, {"protocol", "tcp"}};
}

// Nothing: the packet is still waiting.
std::optional<Reason> of_the_gate(const SetUp& set_up, const std::vector<Answer>& answers) {
    World world;
    set_up(world);
    Mailbox mailbox;
    Judge judge(world.peers, world.rules(), world.sockets, world.verdicts, world.shared(), mailbox);
    const auto bytes = packet(world.flow);
    Arrival arrival;
    arrival.packet = QueuedPacket(world.queue, 1, 0);
    arrival.bytes = bytes;
    arrival.interface = ethernet;
    judge.arrive(std::move(arrival), world.time.now);
    judge.begin_arrived(world.time.now);
    for (const auto& [heard, owner] : answers)
        if (judge.any_open())
            world.peers.answer(world.flow, heard, owner, world.time.now);
    if (world.queue.verdicts.empty()) {
        judge.drop_all();
        return std::nullopt;
    }
    return world.queue.verdicts.front();
}

std::optional<Reason> of_explain(const SetUp& set_up, const std::vector<Answer>& answers,
                                 UserCache& users) {
    World world;
    set_up(world);
    std::optional<Reason> reason;
    auto explainer = explainer_of(world, users);
    explainer.explain(request_about(world.flow), [&](const Explainer::Json& reply) {
        reason = parse_reason(reply["verdict"]["reason"].get<std::string>());
    });
    for (const auto& [heard, owner] : answers)
        if (!reason)
            world.peers.answer(world.flow, heard, owner, world.time.now);
    return reason;
}

Owner labelled(Owner owner, const std::vector<std::string>& names) {
    for (const auto& name : names)
        owner.credentials->labels.push_back({LabelOrigin::slurm, name});
    return owner;
}

TEST(Explain, tells_a_peer_the_decision_and_both_users) {
    UserCache users;
    World world;
    world.listens(alice);
    world.owners.recorded[alice] = user(alice);
    auto explainer = explainer_of(world, users);
    std::vector<ident::Decision> decisions;
    explainer.decide({{}, world.flow},
                     [&](const ident::Decision& decision) { decisions.push_back(decision); });
    EXPECT_TRUE(decisions.empty());
    world.peers.answer(world.flow, Heard::owner, user(bob), world.time.now);
    ASSERT_EQ(decisions.size(), 1u);
    EXPECT_EQ(decisions[0].reason, Reason::different_user);
    EXPECT_EQ(decisions[0].connector, bob);
    EXPECT_EQ(decisions[0].listener, alice);
    auto elsewhere = world.flow;
    elsewhere.destination.address = abroad;
    explainer.decide({{}, elsewhere},
                     [&](const ident::Decision& decision) { decisions.push_back(decision); });
    ASSERT_EQ(decisions.size(), 2u);
    EXPECT_EQ(decisions[1].reason, Reason::internal_error);
}

// Each end has its own time, and so has the question: the search before it may have lasted.
TEST(Explain, has_patience_for_each_search_from_its_beginning) {
    using std::chrono::milliseconds;
    for (const auto& [of_a_peer, patience] :
         {std::pair{false, milliseconds(500)}, std::pair{true, milliseconds(100)}}) {
        UserCache users;
        World world;
        world.listens(alice);
        const Flow local{Protocol::tcp, {here, 40000}, world.flow.destination};
        world.sockets.connectors[local.source] = {Owner::user(bob), {Cookie{2}, bob, 8, 0, 0}};
        world.owners.recorded = {{alice, user(alice)}, {bob, user(bob)}};
        world.owners.meanwhile = [&] { world.time.pass(milliseconds(80)); };
        const auto began = world.time.now;
        auto explainer = explainer_of(world, users);
        if (of_a_peer)
            explainer.decide({{}, local}, [](const auto&) {});
        else
            explainer.explain(request_about(local), [](const auto&) {});
        ASSERT_GE(world.owners.deadlines.size(), 2u);
        EXPECT_EQ(world.owners.deadlines[0], began + patience);
        EXPECT_EQ(world.owners.deadlines[1], began + milliseconds(80) + patience);
    }
}

TEST(Explain, asks_for_a_group_after_the_search_with_a_deadline_of_its_own) {
    UserCache users;
    World world;
    world.listens(alice);
    world.owners.recorded[alice] = user(alice, {project});
    world.owners.meanwhile = [&] { world.time.pass(std::chrono::milliseconds(80)); };
    auto explainer = explainer_of(world, users);
    bool told = false;
    explainer.explain(request_about(world.flow), [&](const auto&) { told = true; });
    const auto began = world.time.now;
    ASSERT_EQ(world.peers.questions.size(), 1u);
    EXPECT_EQ(world.peers.questions[0].asked, began);
    auto many = user(bob); // more than fit into an answer
    many.credentials->groups.resize(ident::max_groups, Gid{7});
    world.peers.answer(world.flow, Heard::owner, many, began);
    ASSERT_EQ(world.peers.questions.size(), 2u);
    EXPECT_EQ(world.peers.questions[1].group, project);
    EXPECT_EQ(world.peers.questions[1].asked, began + std::chrono::milliseconds(80));
    EXPECT_FALSE(told);
}

TEST(Explain, says_that_it_has_no_groups_of_a_supposed_user) {
    UserCache users;
    World world;
    world.listens(alice);
    world.owners.recorded[alice] = user(alice);
    auto explainer = explainer_of(world, users);
    std::string text;
    const auto explain = [&](std::uint32_t as) {
        auto request = request_about(world.flow);
        request["as"] = as;
        explainer.explain(request, [&](const Explainer::Json& reply) { text = reply.dump(); });
        return text;
    };
    EXPECT_NE(explain(3'999'999'999).find("supposed, without groups"), std::string::npos) << text;
    EXPECT_NE(explain(0).find("supposed, with the groups"), std::string::npos) << text;
}

TEST(Explain, comes_to_the_verdict_of_the_gate) {
    UserCache users;
    const std::array listeners{std::optional<Uid>(), std::optional(alice), std::optional(Uid{0})};
    const std::array errors{std::optional<LookupError>(), std::optional(LookupError::ambiguous),
                            std::optional(LookupError::failed)};
    const std::vector<Owner> found{user(alice), user(alice, {project}),
                                   labelled(user(alice), {"physics"})};
    const std::vector<Answer> heard{{Heard::owner, Owner{}},
                                    {Heard::owner, user(alice)},
                                    {Heard::owner, labelled(user(alice), {"physics"})},
                                    {Heard::owner, user(bob)},
                                    {Heard::owner, user(bob, {Gid{9}, project})},
                                    {Heard::owner, labelled(user(bob), {"physics"})},
                                    {Heard::owner, labelled(user(bob), {"biology"})},
                                    {Heard::owner, user(Uid{0})},
                                    {Heard::owner, Owner::kernel()},
                                    {Heard::owner, Owner::shared()},
                                    {Heard::owner, Owner::translated()},
                                    {Heard::busy, user(bob)},
                                    {Heard::busy, Owner::user(bob)},
                                    {Heard::unsent, Owner{}}};
    std::vector<Policy> policies(5);
    policies[1].same_user = false;
    policies[2].require_label = true;
    policies[3].exempt_listeners = {{{alice, alice}, {}}};
    policies[4].exempt_connectors = {{{bob, bob}, {}}};

    int worlds = 0;
    std::set<Reason> reasons;
    for (const auto& policy : policies)
        for (const auto& error : errors)
            for (const auto& listener : listeners)
                for (const auto& owner : found)
                    for (const auto& answer : heard) {
                        const auto set_up = [&](World& world) {
                            world.policy = policy;
                            world.sockets.error = error;
                            if (listener)
                                world.listens(*listener);
                            world.owners.recorded[alice] = owner;
                            world.owners.recorded[Uid{0}] = user(Uid{0});
                        };
                        const std::vector answers{answer, answer}; // the second, about a group
                        const auto gate = of_the_gate(set_up, answers);
                        ASSERT_TRUE(gate.has_value());
                        const auto explained = of_explain(set_up, answers, users);
                        ASSERT_TRUE(explained.has_value());
                        EXPECT_EQ(to_string(*gate), to_string(*explained)) << "world " << worlds;
                        reasons.insert(*gate);
                        ++worlds;
                    }
    EXPECT_EQ(worlds, 5 * 3 * 3 * 3 * 14);
    EXPECT_GE(reasons.size(), 10u);
}

} // namespace
} // namespace ubf
