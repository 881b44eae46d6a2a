// The gate's procedure, on a node and among peers that are in memory.
#include "tests/unit/judging.hpp"

#include <algorithm>

namespace ubf {
namespace {

using namespace world;
using JudgeTest = Judging;

TEST_F(JudgeTest, one_user_on_one_node_needs_no_question_and_no_search) {
    begin();
    const Flow local{Protocol::tcp, {here, 40000}, {here, 8888}};
    listens(alice);
    sockets.connectors[local.source] = {Owner::user(alice), {Cookie{2}, alice, 8, 0, 0}};
    arrive(local, loopback);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::same_user});
    EXPECT_TRUE(peers.questions.empty());
    EXPECT_TRUE(owners.searches.empty());
}

TEST_F(JudgeTest, a_peer_is_asked_once_and_every_packet_of_the_flow_gets_the_verdict) {
    begin();
    listens(alice);
    arrive();
    arrive();
    ASSERT_EQ(peers.questions.size(), 1u);
    EXPECT_EQ(peers.questions.front().same_as, alice);
    EXPECT_TRUE(queue.verdicts.empty());
    hear(ident::Peers::Heard::owner, Owner::user(alice));
    EXPECT_EQ(queue.verdicts, (Reasons{Reason::same_user, Reason::same_user}));
    EXPECT_FALSE(judge->any_open());
    EXPECT_EQ(judge->book().size(), 0u); // counted by go_on()
    EXPECT_TRUE(judge->book().contains(flow));
}

TEST_F(JudgeTest, another_user_is_denied_and_named) {
    begin();
    listens(alice);
    arrive();
    hear(ident::Peers::Heard::owner, user(bob));
    ASSERT_EQ(owners.searches.size(), 1u); // for the groups of the listener
    found(user(alice));
    EXPECT_EQ(queue.verdicts, Reasons{Reason::different_user});
    ASSERT_EQ(reporter.denials.size(), 1u);
    EXPECT_EQ(reporter.denials.front().connector.uid, bob);
    EXPECT_EQ(reporter.denials.front().listener.uid, alice);
    EXPECT_FALSE(judge->book().contains(flow));
}

TEST_F(JudgeTest, a_common_group_allows) {
    begin();
    listens(alice);
    owners.recorded[alice] = user(alice, {project});
    arrive();
    hear(ident::Peers::Heard::owner, user(bob, {Gid{3}, project}));
    EXPECT_EQ(queue.verdicts, Reasons{Reason::same_group});
    EXPECT_TRUE(owners.searches.empty());
}

TEST_F(JudgeTest, a_listener_that_was_replaced_while_the_packet_waited_gets_nothing) {
    begin();
    listens(alice, 1);
    arrive();
    time.pass(std::chrono::milliseconds(2)); // a shorter wait is none
    listens(bob, 2);
    hear(ident::Peers::Heard::owner, Owner::user(alice));
    EXPECT_EQ(queue.verdicts, Reasons{Reason::gone});
}

TEST_F(JudgeTest, labels_that_changed_while_the_packet_waited_decide_nothing) {
    policy.require_label = true;
    begin();
    const Label label{LabelOrigin::slurm, "physics"};
    auto listener = user(alice), connector = user(alice);
    listener.credentials->labels = connector.credentials->labels = {label};
    listens(alice);
    owners.recorded[alice] = listener;
    arrive();
    owners.changed.add(alice);
    hear(ident::Peers::Heard::owner, connector);
    EXPECT_EQ(queue.verdicts.size(), 1u);
    EXPECT_NE(action_of(queue.verdicts.front()), Action::allow);
}

TEST_F(JudgeTest, a_peer_that_is_silent_once_costs_the_packet_and_twice_the_next_one) {
    begin();
    listens(alice);
    arrive();
    hear(ident::Peers::Heard::nothing, Owner{});
    ASSERT_EQ(queue.verdicts.size(), 1u);
    EXPECT_NE(action_of(queue.verdicts.front()), Action::allow);
    arrive();
    if (judge->any_open())
        hear(ident::Peers::Heard::nothing, Owner{});
    ASSERT_EQ(queue.verdicts.size(), 2u);
    EXPECT_EQ(queue.verdicts.back(), Reason::no_answer);
}

TEST_F(JudgeTest, a_packet_does_not_wait_for_ever) {
    begin();
    listens(alice);
    arrive();
    ASSERT_TRUE(judge->next().has_value());
    judge->on_time(*judge->next() - std::chrono::milliseconds(1));
    EXPECT_TRUE(queue.verdicts.empty());
    judge->on_time(*judge->next());
    EXPECT_EQ(queue.verdicts, Reasons{Reason::overload});
    EXPECT_EQ(peers.withdrawn.size(), 1u);
    hear(ident::Peers::Heard::owner, Owner::user(alice)); // too late
    EXPECT_EQ(queue.verdicts.size(), 1u);
    EXPECT_FALSE(judge->book().contains(flow));
}

TEST_F(JudgeTest, a_search_that_finds_no_room_drops) {
    begin();
    listens(alice);
    owners.has_room = false;
    arrive();
    hear(ident::Peers::Heard::owner, user(bob));
    EXPECT_EQ(queue.verdicts, Reasons{Reason::overload});
    EXPECT_TRUE(reporter.denials.empty());
}

TEST_F(JudgeTest, a_lookup_that_fails_is_no_answer) {
    begin();
    sockets.error = LookupError::failed;
    arrive();
    EXPECT_EQ(queue.verdicts, Reasons{Reason::internal_error});
}

TEST_F(JudgeTest, a_closed_port_is_refused_at_once_whoever_asks) {
    begin();
    arrive();
    arrive();
    ASSERT_FALSE(queue.verdicts.empty());
    for (const auto reason : queue.verdicts)
        EXPECT_EQ(reason, Reason::no_listener);
}

TEST_F(JudgeTest, nobody_is_asked_about_what_comes_from_outside) {
    begin();
    listens(alice);
    arrive({Protocol::tcp, {abroad, 40000}, {here, 8888}});
    EXPECT_EQ(queue.verdicts, Reasons{Reason::outside});
    EXPECT_TRUE(peers.questions.empty());
}

TEST_F(JudgeTest, what_is_no_packet_is_refused) {
    begin();
    Arrival arrival;
    arrival.packet = QueuedPacket(queue, 1, 0);
    judge->arrive(std::move(arrival), time.now);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::malformed});
}

TEST_F(JudgeTest, a_udp_flow_is_in_the_kernel_before_its_packet_goes_on) {
    begin();
    const Flow udp{Protocol::udp, flow.source, flow.destination};
    listens(alice, 1, 0);
    arrive(udp);
    peers.answer(udp, ident::Peers::Heard::owner, Owner::user(alice), time.now);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::same_user});
    EXPECT_FALSE(judge->book().contains(udp));
    settle();
    EXPECT_EQ(verdicts.allowed, std::vector{udp});
    EXPECT_TRUE(judge->book().contains(udp));
}

TEST_F(JudgeTest, a_udp_flow_whose_socket_is_gone_is_not_allowed) {
    begin();
    const Flow udp{Protocol::udp, flow.source, flow.destination};
    listens(alice, 1, 0);
    verdicts.socket_is_gone = true;
    arrive(udp);
    peers.answer(udp, ident::Peers::Heard::owner, Owner::user(alice), time.now);
    settle();
    EXPECT_EQ(queue.verdicts, Reasons{Reason::gone});
    EXPECT_TRUE(verdicts.allowed.empty());
}

TEST_F(JudgeTest, a_udp_flow_that_is_denied_is_denied_by_the_kernel_for_a_while) {
    begin();
    const Flow udp{Protocol::udp, flow.source, flow.destination};
    listens(alice, 1, 0);
    owners.recorded[alice] = user(alice);
    arrive(udp);
    peers.answer(udp, ident::Peers::Heard::owner, user(bob), time.now);
    settle();
    EXPECT_EQ(queue.verdicts, Reasons{Reason::different_user});
    EXPECT_EQ(verdicts.denied, std::vector{udp});
}

TEST_F(JudgeTest, a_policy_that_allows_no_more_ends_what_it_allowed) {
    begin();
    listens(alice);
    arrive();
    hear(ident::Peers::Heard::owner, Owner::user(alice));
    ASSERT_TRUE(judge->book().contains(flow));
    policy.same_user = policy.same_group = false;
    judge->set_rules(rules(), true);
    owners.recorded[alice] = user(alice);
    for (int i = 0; i < 10 && judge->book().contains(flow); ++i) {
        judge->on_time(time.now);
        if (judge->any_open())
            hear(ident::Peers::Heard::owner, user(alice));
    }
    EXPECT_FALSE(judge->book().contains(flow));
    EXPECT_EQ(verdicts.ended, std::vector{flow});
    ASSERT_EQ(reporter.denials.size(), 1u);
    EXPECT_TRUE(reporter.denials.front().ended);
}

} // namespace
} // namespace ubf
