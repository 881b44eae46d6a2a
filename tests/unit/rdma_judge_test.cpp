#include "daemon/fabric/rdma_judge.hpp"

#include "tests/unit/world.hpp"

#include <gtest/gtest.h>
#include <optional>

namespace ubf {
namespace {

using namespace world;
using Heard = ident::Peers::Heard;
using Mode = Config::Fabric::Rdma;
using rdma::End;

Holder process_of(Uid uid) {
    Holder process{Pid{70}, {}};
    process.status = {"rping", uid, Gid{value(uid)}, {}, Pid{7}, uid, Gid{value(uid)}};
    return process;
}

Owner owner_of(const Holder& process, ident::Role, Method method) {
    auto owner = user(process.status.uid);
    owner.credentials->method = method;
    return owner;
}

// A peer's answer about its end.
Owner told(Uid uid, Method method = Method::rdma_listener) {
    return owner_of(process_of(uid), ident::Role::listener, method);
}

struct RdmaJudging : testing::Test {
    Counters counters;
    world::Time time;
    PeerTable peer_table;
    FakePeers peers;
    FakeReporter log;
    World world;
    std::optional<RdmaJudge> judge;
    const Flow flow{Protocol::rdma, {here, 40000}, {there, 7174}};
    const Flow question = flow.reversed();

    std::shared_ptr<RdmaRules> rules(Mode mode) const {
        auto rules = std::make_shared<RdmaRules>();
        rules->mode = mode;
        rules->terms = world.rules()->terms;
        rules->deadline = std::chrono::milliseconds(500);
        return rules;
    }
    void begin(Mode mode = Mode::end) {
        judge.emplace(peers, rules(mode),
                      RdmaJudge::Shared{counters, peer_table, log, time.clock()}, owner_of);
    }
    static rdma::Connection connection(const Flow& way_out, Uid uid, std::uint32_t number = 1,
                                       End end = End::connector) {
        rdma::Connection result;
        result.key = {1, number};
        result.port_space = 0x106;
        result.ours = way_out.source;
        result.theirs = way_out.destination;
        result.end = end;
        result.established = true;
        result.process = process_of(uid);
        return result;
    }
    void report(std::vector<rdma::Connection> connections, bool begins = false) {
        rdma::Report report;
        report.begins = begins;
        report.connections = std::move(connections);
        judge->take(std::move(report));
        go_on();
    }
    void go_on() { judge->go_on(time.now + std::chrono::seconds(10)); }
    void report_outcome(bool ended, std::string note) {
        rdma::Report report;
        report.outcomes.push_back({{1, 1}, ended, std::move(note)});
        judge->take(std::move(report));
    }
    void hear(const Owner& owner) { peers.answer(question, Heard::owner, owner, time.now); }
    bool is_ordered() { return judge->take_orders().end == std::vector{rdma::CmKey{1, 1}}; }
    void expect_not_ended(const char* why) {
        EXPECT_TRUE(judge->orders().end.empty());
        ASSERT_EQ(log.denials.size(), 1u);
        EXPECT_FALSE(log.denials[0].ended);
        EXPECT_NE(log.denials[0].note.find(why), std::string::npos) << log.denials[0].note;
        EXPECT_EQ(counters.rdma.not_ended.read(), 1u);
        EXPECT_EQ(counters.rdma.ended.read(), 0u);
    }
};

TEST_F(RdmaJudging, one_users_connection_is_allowed) {
    begin();
    report({connection(flow, alice)});
    ASSERT_EQ(peers.questions.size(), 1u);
    EXPECT_EQ(peers.questions[0].flow, question);
    hear(told(alice));
    EXPECT_EQ(counters.rdma.seen.read(), 1u);
    EXPECT_EQ(counters.rdma.allowed.read(), 1u);
    EXPECT_TRUE(log.denials.empty());
    EXPECT_FALSE(judge->orders().any());
}

TEST_F(RdmaJudging, another_users_is_to_be_ended_and_logged_when_it_is) {
    begin();
    report({connection(flow, bob)});
    hear(told(alice));
    EXPECT_EQ(counters.rdma.denied.read(), 1u);
    EXPECT_TRUE(is_ordered());
    EXPECT_TRUE(log.denials.empty());
    report_outcome(true, "killed");
    ASSERT_EQ(log.denials.size(), 1u);
    const auto& denial = log.denials[0];
    EXPECT_TRUE(denial.ended);
    EXPECT_EQ(denial.note, "killed");
    EXPECT_EQ(denial.reason, Reason::different_user);
    EXPECT_EQ(denial.flow, flow);
    EXPECT_EQ(denial.connector.uid, bob);
    EXPECT_EQ(denial.listener.uid, alice);
    EXPECT_EQ(counters.rdma.ended.read(), 1u);
    report_outcome(true, "killed"); // nobody ordered it any more
    EXPECT_EQ(counters.rdma.ended.read(), 1u);
}

TEST_F(RdmaJudging, an_order_that_was_not_carried_out_is_logged_with_the_reason) {
    begin();
    report({connection(flow, bob)});
    hear(told(alice));
    EXPECT_TRUE(is_ordered());
    report_outcome(false, "the kernel said no");
    expect_not_ended("not ended: the kernel said no");
}

TEST_F(RdmaJudging, a_site_that_logs_orders_nothing) {
    begin(Mode::log);
    report({connection(flow, bob)});
    hear(told(alice));
    EXPECT_EQ(log.denials.size(), 1u);
    EXPECT_FALSE(judge->orders().any());
    EXPECT_EQ(counters.rdma.not_ended.read(), 0u);
}

TEST_F(RdmaJudging, a_site_that_only_observes_orders_nothing) {
    auto observing = rules(Mode::end);
    observing->observed = true;
    judge.emplace(peers, observing, RdmaJudge::Shared{counters, peer_table, log, time.clock()},
                  owner_of);
    report({connection(flow, bob)});
    hear(told(alice));
    ASSERT_EQ(log.denials.size(), 1u);
    EXPECT_TRUE(log.denials[0].observed);
    EXPECT_FALSE(judge->orders().any());
}

TEST_F(RdmaJudging, with_rdma_off_nothing_is_judged_and_peers_are_answered) {
    begin(Mode::off);
    report({connection(flow, bob)});
    EXPECT_TRUE(peers.questions.empty());
    EXPECT_FALSE(judge->next());
    EXPECT_EQ(counters.rdma.seen.read(), 0u);
    EXPECT_EQ(judge->answer(flow).uid, bob);
    judge->set_rules(rules(Mode::log)); // a reload
    go_on();
    EXPECT_EQ(peers.questions.size(), 1u);
}

TEST_F(RdmaJudging, what_is_older_than_the_watch_is_not_ended) {
    begin();
    auto old = connection(flow, bob);
    old.old = true;
    report({old});
    hear(told(alice));
    expect_not_ended("it is older than ubf-rdmad");
}

TEST_F(RdmaJudging, nobody_is_killed_unless_the_peer_says_that_its_end_is_the_listeners) {
    begin();
    report({connection(flow, bob)});
    hear(told(alice, Method::rdma_connector));
    expect_not_ended("it is not certain who began it");
}

TEST_F(RdmaJudging, an_end_whose_maker_has_ended_is_not_ended) {
    begin();
    auto orphan = connection(flow, bob);
    orphan.process.reset();
    report({orphan});
    hear(told(alice));
    expect_not_ended("the thread that made it has ended");
}

TEST_F(RdmaJudging, a_listener_ends_nothing) {
    begin();
    report({connection(flow, alice, 1, End::listener)});
    hear(told(bob, Method::rdma_connector));
    ASSERT_EQ(log.denials.size(), 1u);
    EXPECT_EQ(log.denials[0].flow, question);
    EXPECT_EQ(log.denials[0].listener.uid, alice);
    EXPECT_FALSE(judge->orders().any());
    EXPECT_EQ(counters.rdma.not_ended.read(), 0u);
}

TEST_F(RdmaJudging, a_silent_peer_is_no_reason_to_kill_and_is_told_of) {
    begin();
    report({connection(flow, bob)});
    for (int i = 0; i < 4; ++i) {
        ASSERT_EQ(peers.questions.size(), static_cast<std::size_t>(i) + 1);
        peers.answer(question, Heard::nothing, Owner{}, time.now);
        go_on();
    }
    EXPECT_EQ(peers.questions.size(), 4u);
    EXPECT_EQ(counters.rdma.no_answer.read(), 1u);
    EXPECT_EQ(counters.rdma.denied.read(), 0u);
    EXPECT_TRUE(log.denials.empty());
    EXPECT_FALSE(judge->orders().any());
    ASSERT_FALSE(log.warnings.empty());
    EXPECT_NE(log.warnings.back().find("is not judged, and goes on"), std::string::npos);
}

TEST_F(RdmaJudging, silence_about_rdma_alone_does_not_make_a_peer_silent) {
    begin();
    peer_table.heard(question.source.address, time.now);
    report({connection(flow, bob)});
    for (int i = 0; i < 4; ++i) {
        peers.answer(question, Heard::nothing, Owner{}, time.now);
        go_on();
    }
    EXPECT_EQ(peer_table.standing(question.source.address, time.now), PeerTable::Standing::proven);
    ASSERT_EQ(log.warnings.size(), 1u);
    EXPECT_NE(log.warnings[0].find("is not judged, and goes on"), std::string::npos);
}

TEST_F(RdmaJudging, a_peer_that_does_not_know_the_connection_yet_is_asked_again) {
    begin();
    report({connection(flow, bob)});
    for (int i = 0; i < 7; ++i) {
        hear(Owner{});
        EXPECT_EQ(counters.rdma.denied.read(), 0u);
        go_on();
    }
    hear(Owner{});
    EXPECT_EQ(peers.questions.size(), 8u);
    EXPECT_EQ(counters.rdma.denied.read(), 1u);
    expect_not_ended("it is not certain who began it");
}

TEST_F(RdmaJudging, what_is_not_established_yet_is_not_denied_for_an_unknown_listener) {
    begin();
    auto young = connection(flow, bob);
    young.established = false;
    report({young});
    for (int i = 0; i < 20; ++i) {
        hear(Owner{});
        go_on();
    }
    EXPECT_EQ(counters.rdma.denied.read(), 0u);
    young.established = true;
    report({young});
    hear(Owner{});
    EXPECT_EQ(counters.rdma.denied.read(), 1u);
}

TEST_F(RdmaJudging, both_ends_on_one_node_are_judged_once_without_a_question) {
    begin();
    report({connection(flow, bob, 1), connection(question, alice, 2, End::listener)});
    EXPECT_TRUE(peers.questions.empty());
    EXPECT_EQ(counters.rdma.seen.read(), 1u);
    EXPECT_TRUE(is_ordered());
}

TEST_F(RdmaJudging, a_watch_that_begins_anew_is_heard_anew) {
    begin();
    report({connection(flow, bob)}, true);
    hear(told(alice));
    report({}, true);
    expect_not_ended("ubf-rdmad began anew");
    EXPECT_EQ(judge->connections(), 0u);
    report({connection(flow, bob)});
    hear(told(alice));
    EXPECT_TRUE(is_ordered());
}

TEST_F(RdmaJudging, an_answer_that_comes_after_the_end_is_about_nothing) {
    begin();
    report({connection(flow, bob)});
    rdma::Report gone;
    gone.gone.push_back({1, 1});
    judge->take(gone);
    hear(told(alice));
    EXPECT_EQ(counters.rdma.denied.read(), 0u);
    EXPECT_FALSE(judge->orders().any());
}

TEST_F(RdmaJudging, a_peer_that_asks_about_an_unreported_connection_makes_the_watch_look) {
    begin();
    EXPECT_EQ(judge->answer(flow).kind, OwnerKind::unknown);
    EXPECT_TRUE(judge->take_orders().look);
    report({connection(flow, bob)});
    EXPECT_EQ(judge->answer(flow).uid, bob);
    EXPECT_FALSE(judge->orders().look);
    judge->forget("gone");
    EXPECT_EQ(judge->answer(flow).kind, OwnerKind::unknown);
}

TEST_F(RdmaJudging, a_disconnected_end_answers_for_nobody) {
    begin();
    auto ending = connection(flow, bob);
    report({ending});
    ending.connected = false;
    report({ending});
    EXPECT_EQ(judge->answer(flow).kind, OwnerKind::unknown);
    EXPECT_EQ(judge->connections(), 1u);
}

TEST_F(RdmaJudging, two_users_at_the_same_ends_are_nobody) {
    begin();
    auto other = connection(flow, alice, 2);
    other.port_space = 0x111;
    report({connection(flow, bob), other});
    EXPECT_EQ(judge->answer(flow).kind, OwnerKind::unknown);
}

TEST_F(RdmaJudging, a_label_that_ends_has_its_connections_judged_again) {
    auto labelled = rules(Mode::end);
    labelled->labelled = true;
    const Label label{LabelOrigin::map, "physics"};
    Owner ours = told(bob, Method::rdma_connector);
    ours.credentials->labels = {label};
    judge.emplace(peers, labelled, RdmaJudge::Shared{counters, peer_table, log, time.clock()},
                  [&](const Holder&, ident::Role, Method) { return ours; });
    report({connection(flow, bob)});
    auto theirs = told(alice);
    theirs.credentials->labels = {label};
    hear(theirs);
    ASSERT_EQ(counters.rdma.allowed.read(), 1u);
    judge->reconsider(Uid{1}); // not concerned
    go_on();
    EXPECT_EQ(peers.questions.size(), 1u);
    ours.credentials->labels.clear();
    judge->reconsider(bob);
    go_on();
    EXPECT_EQ(peers.questions.size(), 2u);
    hear(theirs);
    EXPECT_TRUE(is_ordered());
}

TEST_F(RdmaJudging, a_connection_that_ends_before_its_owner_is_looked_for_is_forgotten) {
    begin();
    rdma::Report begun;
    begun.connections.push_back(connection(flow, bob));
    judge->take(begun);
    EXPECT_TRUE(judge->next());
    rdma::Report gone;
    gone.gone.push_back({1, 1});
    judge->take(gone);
    EXPECT_FALSE(judge->next());
    go_on();
    EXPECT_EQ(counters.rdma.seen.read(), 0u);
}

TEST_F(RdmaJudging, there_is_room_for_so_many_and_the_rest_is_counted) {
    begin(Mode::off);
    rdma::Report report;
    for (std::uint32_t i = 0; i < RdmaBook::most_entries + 3; ++i)
        report.connections.push_back(connection(flow, bob, i));
    judge->take(std::move(report));
    EXPECT_EQ(judge->connections(), RdmaBook::most_entries);
    EXPECT_EQ(judge->beyond_room(), 3u);
}

} // namespace
} // namespace ubf
