// Flows that are only observed: nothing is refused, and all is told.
#include "config/observation.hpp"

#include "nft/ruleset.hpp"
#include "tests/unit/judging.hpp"

#include <algorithm>

namespace ubf {
namespace {

using namespace world;

const Flow flow{Protocol::tcp, {there, 40000}, {here, 8888}};

TEST(Observation, covers_by_peer_interface_and_port) {
    const Observation none;
    EXPECT_FALSE(none.any());
    EXPECT_FALSE(none.covers(flow, there, "eth0"));
    const Observation all{.all = true};
    EXPECT_TRUE(all.covers(flow, there, ""));

    const Observation by_peer{.peers = {*Prefix::parse("10.77.0.1")}};
    EXPECT_TRUE(by_peer.covers(flow, there, "eth0"));
    EXPECT_FALSE(by_peer.covers(flow, here, "eth0"));

    const Observation by_interface{.interfaces = {InterfacePattern("eth*")}};
    EXPECT_TRUE(by_interface.covers(flow, there, "eth1"));
    EXPECT_FALSE(by_interface.covers(flow, there, "ib0"));
    EXPECT_FALSE(by_interface.covers(flow, there, ""));

    const Observation by_port{.ports = {{true, false, {8800, 8899}}}};
    EXPECT_TRUE(by_port.covers(flow, there, "eth0"));
    auto other = flow;
    other.protocol = Protocol::udp;
    EXPECT_FALSE(by_port.covers(other, there, "eth0"));
    other.protocol = Protocol::rdma; // goes with TCP
    EXPECT_TRUE(by_port.covers(other, there, "eth0"));
}

class ObservingTest : public Judging {
  protected:
    void hear_of(Uid uid) {
        const auto unlabelled = [](Uid whose) {
            auto owner = Owner::user(whose);
            owner.credentials.emplace().labels_known = true;
            return owner;
        };
        hear(ident::Peers::Heard::owner, unlabelled(uid));
        if (!owners.searches.empty())
            found(unlabelled(alice));
    }
};

TEST_F(ObservingTest, another_user_gets_through_and_is_told_of) {
    observed.all = true;
    begin();
    listens(alice);
    arrive();
    hear_of(bob);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::observed});
    ASSERT_EQ(reporter.denials.size(), 1u);
    EXPECT_TRUE(reporter.denials.front().observed);
    EXPECT_EQ(reporter.denials.front().reason, Reason::different_user);
    EXPECT_EQ(counters.gate.would_deny.read(Reason::different_user), 1u);
    EXPECT_TRUE(judge->book().contains(flow));
}

TEST_F(ObservingTest, what_is_allowed_is_no_news) {
    observed.all = true;
    begin();
    listens(alice);
    arrive();
    hear_of(alice);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::same_user});
    EXPECT_TRUE(reporter.denials.empty());
}

TEST_F(ObservingTest, other_ports_are_refused_as_ever) {
    observed.ports = {{true, true, {9999, 9999}}};
    begin();
    listens(alice);
    arrive();
    hear_of(bob);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::different_user});
    ASSERT_EQ(reporter.denials.size(), 1u);
    EXPECT_FALSE(reporter.denials.front().observed);
}

TEST_F(ObservingTest, a_silent_peer_delays_nobody) {
    observed.all = true;
    begin();
    listens(alice);
    arrive();
    hear(ident::Peers::Heard::nothing, Owner{});
    EXPECT_EQ(queue.verdicts, Reasons{Reason::observed});
}

TEST_F(ObservingTest, a_packet_that_can_not_be_read_passes) {
    observed.all = true;
    begin();
    arrive(std::vector<std::uint8_t>{0x45, 0, 0});
    EXPECT_EQ(queue.verdicts, Reasons{Reason::observed});
}

TEST_F(ObservingTest, a_closed_port_answers_as_without_a_firewall) {
    observed.all = true;
    begin();
    arrive();
    EXPECT_EQ(queue.verdicts, Reasons{Reason::no_listener});
}

TEST(ObservingRuleset, refuses_strangers_at_ident_and_nobody_else) {
    Config config;
    const auto refusing = [&] {
        std::vector<std::string> names;
        for (const auto& chain : nft::make_ruleset(config, {}).chains)
            for (const auto& rule : chain.rules)
                if (std::ranges::any_of(rule.statements, [](const nft::Statement& statement) {
                        return statement.text.starts_with("reject") || statement.text == "drop";
                    }))
                    names.push_back(nft::counter_name(rule.id));
        return names;
    };
    EXPECT_GT(refusing().size(), 15u);
    config.observed.all = true;
    for (const auto& name : refusing())
        EXPECT_EQ(name, "ident_foreign");
    EXPECT_FALSE(refusing().empty());
}

} // namespace
} // namespace ubf
