// The gate's procedure as time passes: the clock is the test's, and nothing waits.
#include "tests/unit/judging.hpp"

#include <chrono>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using namespace world;
using namespace std::chrono_literals;
using Heard = ident::Peers::Heard;

class JudgeTimeTest : public Judging {
  protected:
    const Flow udp{Protocol::udp, flow.source, flow.destination};
    const Flow local{Protocol::tcp, {here, 40000}, {here, 8888}};

    void pass(Clock::duration some) {
        time.pass(some);
        judge->on_time(time.now);
        settle();
    }
    void say(const Flow& about, Heard heard, const Owner& owner) {
        peers.answer(about, heard, owner, time.now);
        settle();
    }
    void allow_udp() {
        begin();
        listens(alice, 1, 0);
        arrive(udp);
        say(udp, Heard::owner, Owner::user(alice));
    }
    static Owner labelled(Uid uid) {
        auto owner = user(uid);
        owner.credentials->labels = {{LabelOrigin::map, "physics"}};
        return owner;
    }
    // Bob's connection to alice.
    void allow_by_label() {
        begin();
        listens(alice);
        owners.recorded[alice] = labelled(alice);
        arrive();
        hear(Heard::owner, labelled(bob));
        ASSERT_EQ(queue.verdicts, Reasons{Reason::same_label});
    }
    // Two questions in a row that the peer does not answer.
    void be_silent() {
        for (int i = 0; i < 2; ++i) {
            arrive();
            time.pass(900ms);
            hear(Heard::nothing, Owner{});
        }
    }
};

// --- a packet that waits ---

TEST_F(JudgeTimeTest, a_packet_waits_until_its_deadline_and_no_longer) {
    begin();
    listens(alice);
    arrive();
    const auto deadline = time.now + judge->patience();
    EXPECT_EQ(judge->next(), deadline);
    pass(judge->patience() - 1ns);
    EXPECT_TRUE(queue.verdicts.empty());
    pass(1ns);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::overload});
    EXPECT_FALSE(judge->any_open());
}

TEST_F(JudgeTimeTest, a_packet_that_joins_does_not_prolong_the_wait) {
    begin();
    listens(alice);
    arrive();
    pass(judge->patience() - 1ms);
    arrive();
    EXPECT_TRUE(queue.verdicts.empty());
    pass(1ms);
    EXPECT_EQ(queue.verdicts, (Reasons{Reason::overload, Reason::overload}));
}

TEST_F(JudgeTimeTest, a_search_that_follows_the_answer_does_not_prolong_the_wait) {
    begin();
    listens(alice);
    arrive();
    const auto deadline = time.now + judge->patience();
    pass(500ms);
    hear(Heard::owner, user(bob));
    ASSERT_EQ(owners.searches.size(), 1u);
    EXPECT_EQ(owners.searches.front().deadline, time.now + rules()->deadline);
    EXPECT_EQ(judge->next(), deadline);
    pass(deadline - time.now);
    EXPECT_EQ(queue.verdicts, Reasons{Reason::overload});
}

TEST_F(JudgeTimeTest, the_next_packet_of_a_flow_that_ran_out_of_time_waits_anew) {
    begin();
    listens(alice);
    arrive();
    pass(judge->patience());
    arrive();
    EXPECT_EQ(judge->next(), time.now + judge->patience());
    hear(Heard::owner, Owner::user(alice));
    EXPECT_EQ(queue.verdicts, (Reasons{Reason::overload, Reason::same_user}));
}

TEST_F(JudgeTimeTest, a_verdict_counts_the_time_that_the_packet_waited) {
    begin();
    listens(alice);
    arrive();
    time.pass(300ms);
    hear(Heard::owner, Owner::user(alice));
    EXPECT_EQ(judge->times().asked.sum_us(), 300'000u);
    EXPECT_EQ(judge->times().queue.sum_us(), 0u);
    sockets.connectors[local.source] = {Owner::user(alice), {Cookie{2}, alice, 8, 0, 0}};
    sockets.meanwhile = [this] { time.pass(70us); };
    arrive(local, loopback);
    EXPECT_EQ(judge->times().queue.sum_us(), 70u); // within its round
}

// --- the second look at the listener ---

TEST_F(JudgeTimeTest, a_listener_is_looked_up_again_after_a_wait_that_is_not_brief) {
    for (const auto& [wait, reason] :
         {std::pair<Clock::duration, Reason>{1ms, Reason::same_user}, {1ms + 1ns, Reason::gone}}) {
        begin();
        listens(alice, 1);
        arrive();
        time.pass(wait);
        listens(bob, 2);
        hear(Heard::owner, Owner::user(alice));
        EXPECT_EQ(queue.verdicts.back(), reason);
    }
}

// The round began when the packet was read: its time is not enough.
TEST_F(JudgeTimeTest, a_listener_is_looked_up_again_after_a_round_that_was_not_brief) {
    for (const auto& [wait, reason] :
         {std::pair<Clock::duration, Reason>{1ms, Reason::same_user}, {1ms + 1ns, Reason::gone}}) {
        begin();
        sockets.connectors[local.source] = {Owner::user(alice), {Cookie{2}, alice, 8, 0, 0}};
        listens(alice, 1);
        sockets.meanwhile = [this, taken = wait] {
            time.pass(taken);
            listens(bob, 3);
        };
        arrive(local, loopback);
        EXPECT_EQ(queue.verdicts.back(), reason);
    }
}

// --- a peer that is silent ---

TEST_F(JudgeTimeTest, a_silent_peer_is_tried_once_a_second_and_no_packet_waits_for_it) {
    begin();
    listens(alice);
    be_silent();
    queue.verdicts.clear();
    peers.questions.clear();
    arrive();
    EXPECT_EQ(peers.questions.size(), 1u); // in passing
    time.pass(999ms);
    arrive();
    EXPECT_EQ(peers.questions.size(), 1u);
    time.pass(1ms);
    arrive();
    EXPECT_EQ(peers.questions.size(), 2u);
    EXPECT_EQ(queue.verdicts, (Reasons{Reason::no_answer, Reason::no_answer, Reason::no_answer}));
    EXPECT_FALSE(judge->any_open());
    peer_table.heard(there, time.now);
    arrive();
    EXPECT_TRUE(judge->any_open()); // it is waited for again
}

TEST_F(JudgeTimeTest, a_peer_that_was_there_a_moment_ago_is_waited_for) {
    begin();
    listens(alice);
    peer_table.heard(there, time.now);
    be_silent();
    arrive();
    EXPECT_TRUE(judge->any_open());
    hear(Heard::nothing, Owner{});
    time.pass(PeerTable::patience);
    queue.verdicts.clear();
    arrive();
    EXPECT_FALSE(judge->any_open());
    EXPECT_EQ(queue.verdicts, Reasons{Reason::no_answer});
}

TEST_F(JudgeTimeTest, a_silent_peer_is_named_once_a_minute) {
    begin();
    listens(alice);
    be_silent();
    EXPECT_EQ(reporter.warnings.size(), 1u);
    time.pass(58s);
    be_silent();
    EXPECT_EQ(reporter.warnings.size(), 1u);
}

// --- a flow that was allowed ---

TEST_F(JudgeTimeTest, an_allowed_udp_flow_is_decided_again_at_its_time_and_its_lease_renewed) {
    allow_udp();
    ASSERT_TRUE(judge->book().contains(udp));
    peers.questions.clear();
    pass(AllowedFlows::pause - 1ns);
    EXPECT_TRUE(peers.questions.empty());
    pass(1ns);
    ASSERT_EQ(peers.questions.size(), 1u);
    EXPECT_TRUE(verdicts.renewed.empty());
    say(udp, Heard::owner, Owner::user(alice));
    EXPECT_EQ(verdicts.renewed, std::vector{udp});
    pass(AllowedFlows::pause - 1ns);
    EXPECT_EQ(peers.questions.size(), 1u);
    pass(1ns);
    EXPECT_EQ(peers.questions.size(), 2u);
}

TEST_F(JudgeTimeTest, an_allowed_udp_flow_that_is_not_allowed_any_more_ends_when_it_is_due) {
    allow_udp();
    owners.recorded[alice] = user(alice);
    pass(AllowedFlows::pause);
    say(udp, Heard::owner, user(bob));
    EXPECT_FALSE(judge->book().contains(udp));
    EXPECT_EQ(verdicts.ended, std::vector{udp});
    EXPECT_TRUE(verdicts.renewed.empty());
}

TEST_F(JudgeTimeTest, an_allowed_udp_flow_whose_peer_is_silent_is_not_renewed_and_ends_in_the_end) {
    allow_udp();
    unsigned silences = 0;
    for (; judge->book().contains(udp) && silences < 20; ++silences) {
        pass(AllowedFlows::pause);
        say(udp, Heard::nothing, Owner{});
    }
    EXPECT_EQ(silences, 6u);
    EXPECT_TRUE(verdicts.renewed.empty());
    EXPECT_EQ(verdicts.ended, std::vector{udp});
}

// Every ten seconds it is only seen whether the connection is still there.
TEST_F(JudgeTimeTest,
       a_connection_that_a_label_allowed_is_decided_again_in_ten_minutes_or_at_once) {
    allow_by_label();
    const auto begun = time.now;
    while (time.now + AllowedFlows::pause < begun + 10min)
        pass(AllowedFlows::pause);
    EXPECT_EQ(peers.questions.size(), 1u);
    pass(AllowedFlows::pause);
    ASSERT_EQ(peers.questions.size(), 2u);
    hear(Heard::owner, labelled(bob));
    EXPECT_TRUE(judge->book().contains(flow));
    pass(1s);
    EXPECT_EQ(peers.questions.size(), 2u);
    judge->book().hasten(bob, time.now);
    EXPECT_EQ(judge->book().next(), time.now);
    pass(0s);
    ASSERT_EQ(peers.questions.size(), 3u);
    hear(Heard::owner, user(bob)); // without it
    EXPECT_EQ(verdicts.ended, std::vector{flow});
}

TEST_F(JudgeTimeTest, a_connection_that_the_kernel_refuses_to_end_is_decided_again_until_it_ends) {
    allow_by_label();
    verdicts.refusal = ENOMEM;
    judge->book().hasten(bob, time.now);
    for (const auto wait : {Clock::duration(0s), Clock::duration(1s)}) {
        pass(wait);
        hear(Heard::owner, user(bob)); // without the label
        EXPECT_TRUE(judge->book().contains(flow));
        EXPECT_EQ(reporter.warnings.size(), 1u);
        EXPECT_TRUE(reporter.denials.empty());
    }
    verdicts.refusal = 0;
    pass(AllowedFlows::pause);
    EXPECT_EQ(peers.questions.size(), 4u);
    hear(Heard::owner, user(bob));
    EXPECT_EQ(verdicts.ended, std::vector{flow});
    EXPECT_FALSE(judge->book().contains(flow));
    EXPECT_EQ(reporter.denials.size(), 1u);
    EXPECT_EQ(counters.flows.not_ended.read(), 1u);
}

TEST_F(JudgeTimeTest, a_flow_that_the_kernel_forgot_is_forgotten_when_it_is_due) {
    allow_udp();
    verdicts.is_over = true;
    pass(AllowedFlows::pause - 1ns);
    EXPECT_TRUE(judge->book().contains(udp));
    pass(1ns);
    EXPECT_FALSE(judge->book().contains(udp));
    EXPECT_TRUE(verdicts.ended.empty());
}

} // namespace
} // namespace ubf
