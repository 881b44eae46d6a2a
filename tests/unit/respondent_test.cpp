// The answers to peers' questions, on a node that is in memory.
#include "daemon/ident/respondent.hpp"

#include "tests/unit/world.hpp"

#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

using namespace world;

class RespondentTest : public testing::Test {
  protected:
    const Flow flow{Protocol::tcp, {here, 40000}, {there, 8888}}; // begins here
    const Sender asker{{{there, 1017}, {here, 1017}}, ethernet, Channel::first_asker};
    Time time;
    Counters counters;
    FakeSockets sockets;
    FakeOwners owners;
    ToldFlows told;
    Mailbox mailbox;
    std::vector<std::vector<Answer>> sent; // each in a datagram of its own
    bool translates = false;
    std::optional<Flow> original;
    Respondent respondent{sockets,
                          owners,
                          told,
                          counters,
                          mailbox,
                          Milliseconds(900),
                          {[this](const Sender&, std::vector<Answer> answers) {
                               if (!answers.empty())
                                   sent.push_back(std::move(answers));
                           },
                           [this](const Address&, const Flow&, const auto& then) {
                               if (translates)
                                   then(original);
                               return translates;
                           },
                           time.clock()}};

    void connects(const Flow& connection, Uid uid) {
        sockets.connectors[connection.source] = {Owner::user(uid), {Cookie{5}, uid, 9, 0, 0}};
    }
    Question question(std::uint64_t nonce = 1, std::optional<Uid> same_as = {}) const {
        return {Nonce{nonce}, Role::connector, flow, same_as, {}};
    }
    void run() {
        mailbox.run();
        respondent.send_ready();
    }
    // The only answer so far, and forgets it.
    Answer answer() {
        EXPECT_EQ(sent.size(), 1u);
        if (sent.size() != 1 || sent.front().size() != 1)
            return {};
        auto only = sent.front().front();
        sent.clear();
        return only;
    }
};

TEST_F(RespondentTest, the_user_who_was_asked_about_is_all_that_is_told) {
    connects(flow, alice);
    owners.recorded[alice] = user(alice, {project});
    respondent.answer({question(1, alice)}, asker, time.now);
    const auto told_uid = answer();
    EXPECT_EQ(told_uid.owner.uid, alice);
    EXPECT_FALSE(told_uid.owner.credentials);
    EXPECT_EQ(told_uid.part, Part::whole);
}

TEST_F(RespondentTest, another_user_is_told_with_groups) {
    connects(flow, bob);
    owners.recorded[bob] = user(bob, {project});
    respondent.answer({question(1, alice)}, asker, time.now);
    const auto whole = answer();
    EXPECT_EQ(whole.owner.uid, bob);
    ASSERT_TRUE(whole.owner.credentials);
    EXPECT_EQ(whole.owner.credentials->groups, std::vector{project});
    EXPECT_TRUE(owners.searches.empty());
}

TEST_F(RespondentTest, a_search_tells_the_uid_at_once_and_the_rest_later) {
    connects(flow, bob);
    respondent.answer({question()}, asker, time.now);
    EXPECT_EQ(answer().part, Part::uid);
    respondent.answer({question()}, asker, time.now); // retransmitted
    EXPECT_EQ(answer().part, Part::uid);
    ASSERT_EQ(owners.searches.size(), 1u);
    owners.searches.front().done(user(bob, {project}), true);
    run();
    const auto whole = answer();
    EXPECT_EQ(whole.part, Part::whole);
    EXPECT_EQ(whole.owner.credentials->groups, std::vector{project});
}

TEST_F(RespondentTest, a_portal_is_told_with_the_user_or_not_yet) {
    connects(flow, bob);
    sockets.connectors.at(flow.source).owner.via = alice;
    const auto is_told = [&](Part part) {
        const auto only = answer();
        EXPECT_EQ(only.part, part);
        EXPECT_EQ(only.owner.uid, bob);
        EXPECT_EQ(only.owner.via, alice);
        EXPECT_TRUE(only.owner.credentials); // without, the wire has no portal
    };
    for (const bool in_time : {true, false}) {
        respondent.answer({question()}, asker, time.now);
        EXPECT_TRUE(sent.empty());
        auto found = sockets.connectors.at(flow.source).owner;
        if (in_time)
            found.credentials.emplace();
        owners.searches.back().done(found, in_time);
        run();
        is_told(in_time ? Part::whole : Part::busy);
    }
    owners.has_room = false;
    respondent.answer({question(2)}, asker, time.now);
    is_told(Part::busy);
}

TEST_F(RespondentTest, a_search_without_room_or_time_says_that_the_node_is_busy) {
    connects(flow, bob);
    owners.has_room = false;
    respondent.answer({question(1)}, asker, time.now);
    EXPECT_EQ(answer().part, Part::busy);
    owners.has_room = true;
    respondent.answer({question(2)}, asker, time.now);
    sent.clear();
    owners.searches.front().done(user(bob), false);
    run();
    EXPECT_EQ(answer().part, Part::busy);
}

// 100 ms are left for the way to the asker, or half the time.
TEST_F(RespondentTest, a_search_ends_so_early_that_its_answer_arrives_in_time) {
    connects(flow, bob);
    const auto came = time.now;
    respondent.answer({question(1)}, asker, came);
    respondent.set_deadline(Milliseconds(150));
    respondent.answer({question(2)}, asker, came);
    respondent.set_deadline(Milliseconds(900));
    time.pass(Milliseconds(300));
    respondent.answer({question(3)}, asker, came); // it was read with the others
    ASSERT_EQ(owners.searches.size(), 3u);
    EXPECT_EQ(owners.searches[0].deadline, came + Milliseconds(800));
    EXPECT_EQ(owners.searches[1].deadline, came + Milliseconds(75));
    EXPECT_EQ(owners.searches[2].deadline, came + Milliseconds(800));
}

TEST_F(RespondentTest, a_search_that_begins_again_gets_no_more_time) {
    connects(flow, bob);
    respondent.answer({question()}, asker, time.now);
    const auto deadline = owners.searches.front().deadline;
    time.pass(Milliseconds(500));
    owners.changed.add(bob);
    const auto first = std::move(owners.searches.front().done);
    first(user(bob), true);
    run();
    ASSERT_EQ(owners.searches.size(), 2u);
    EXPECT_EQ(owners.searches.back().deadline, deadline);
}

TEST_F(RespondentTest, labels_that_a_search_found_are_told_from_the_time_that_it_ended) {
    connects(flow, bob);
    respondent.answer({question()}, asker, time.now);
    time.pass(Milliseconds(700));
    auto labelled = user(bob);
    labelled.credentials->labels = {{LabelOrigin::slurm, "physics"}};
    owners.searches.front().done(labelled, true);
    run();
    const auto is_gone = [](const auto&...) { return false; };
    told.look_after(time.now + ToldFlows::looked_at_every - Milliseconds(1), is_gone);
    EXPECT_EQ(told.labelled_flows(), 1u);
    told.look_after(time.now + ToldFlows::looked_at_every + ToldFlows::look_pause, is_gone);
    EXPECT_EQ(told.labelled_flows(), 0u);
}

TEST_F(RespondentTest, labels_that_changed_during_a_search_are_searched_for_again) {
    connects(flow, bob);
    respondent.answer({question()}, asker, time.now);
    sent.clear();
    owners.changed.add(bob);
    const auto first = std::move(owners.searches.front().done);
    first(user(bob), true);
    run();
    EXPECT_TRUE(sent.empty());
    ASSERT_EQ(owners.searches.size(), 2u);
    owners.searches.back().done(user(bob), true);
    run();
    EXPECT_EQ(answer().part, Part::whole);
}

TEST_F(RespondentTest, answers_that_were_found_together_share_a_datagram) {
    connects(flow, bob);
    respondent.answer({question(1), question(2)}, asker, time.now);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent.front().size(), 2u);
    sent.clear();
    for (const auto& search : owners.searches)
        search.done(user(bob), true);
    run();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent.front().size(), 2u);
}

TEST_F(RespondentTest, a_flow_without_a_socket_has_no_owner) {
    respondent.answer({question()}, asker, time.now);
    EXPECT_EQ(answer().owner.kind, OwnerKind::unknown);
    sockets.error = LookupError::ambiguous;
    respondent.answer({question()}, asker, time.now);
    EXPECT_EQ(answer().owner.kind, OwnerKind::shared);
    sockets.error = LookupError::failed;
    respondent.answer({question()}, asker, time.now);
    EXPECT_EQ(answer().owner.kind, OwnerKind::unknown);
}

TEST_F(RespondentTest, behind_a_translated_flow_is_a_socket_of_this_node_or_nobody_who_is_known) {
    translates = true;
    original = Flow{Protocol::tcp, {here, 50000}, {abroad, 80}};
    connects(*original, alice);
    respondent.answer({question(1, alice)}, asker, time.now);
    EXPECT_TRUE(sent.empty());
    sent.clear();
    run();
    EXPECT_EQ(answer().owner.uid, alice);

    original->source.address = *Address::parse("172.17.0.2"); // a container's
    respondent.answer({question(2, alice)}, asker, time.now);
    sent.clear();
    run();
    EXPECT_EQ(answer().owner.kind, OwnerKind::translated);

    original.reset();
    respondent.answer({question(3, alice)}, asker, time.now);
    sent.clear();
    run();
    EXPECT_EQ(answer().owner.kind, OwnerKind::unknown);
}

TEST_F(RespondentTest, a_udp_owner_and_labels_are_remembered_for_the_peer) {
    connects(flow, bob);
    auto labelled = user(bob);
    labelled.credentials->labels = {{LabelOrigin::slurm, "physics"}};
    owners.recorded[bob] = labelled;
    respondent.answer({question()}, asker, time.now);
    EXPECT_EQ(told.labelled_flows(), 1u);
    EXPECT_EQ(told.sockets(), 0u);
    auto udp = question(2);
    udp.flow.protocol = Protocol::udp;
    respondent.answer({udp}, asker, time.now);
    EXPECT_EQ(told.sockets(), 1u);
}

// --- who listens, for a portal ---

class ListenerTest : public RespondentTest {
  protected:
    const Flow place{Protocol::tcp, {here, 8888}, {there, 0}};

    void ask() {
        respondent.answer_listeners({{Nonce{1}, Role::listener, place, {}}}, asker, time.now);
    }
};

TEST_F(ListenerTest, is_told_with_groups_though_no_socket_sends_the_flow) {
    sockets.listeners[place.source] = {Owner::user(alice), {Cookie{5}, alice, 9, 10, 0}};
    owners.recorded[alice] = user(alice, {project});
    ask();
    const auto whole = answer();
    EXPECT_EQ(whole.owner.uid, alice);
    EXPECT_EQ(whole.owner.credentials->gid, project);
    EXPECT_EQ(whole.part, Part::whole);
    EXPECT_EQ(counters.ident.listeners.answered.read(), 1u);
}

TEST_F(ListenerTest, nobody_is_told_apart_from_no_knowledge) {
    ask();
    const auto nobody = answer();
    EXPECT_EQ(nobody.owner.kind, OwnerKind::unknown);
    EXPECT_TRUE(nobody.owner.credentials);
    sockets.error = LookupError::failed;
    ask();
    EXPECT_FALSE(answer().owner.credentials);
}

TEST_F(ListenerTest, that_shares_its_port_with_another_user_is_nobodys) {
    sockets.listeners[place.source] = {Owner::user(alice), {Cookie{5}, alice, 9, 10, 0}};
    owners.shares = true;
    sockets.sharing = LookupError::ambiguous;
    ask();
    EXPECT_EQ(answer().owner.kind, OwnerKind::shared);
}

TEST_F(ListenerTest, with_a_label_is_not_remembered_for_no_flow_is_there) {
    sockets.listeners[place.source] = {Owner::user(alice), {Cookie{5}, alice, 9, 10, 0}};
    owners.recorded[alice] = user(alice);
    owners.recorded[alice].credentials->labels = {{LabelOrigin::slurm, "chem"}};
    ask();
    EXPECT_TRUE(told.withdrawn(alice, time.now, [](const auto&...) { return true; }).empty());
}

} // namespace
} // namespace ubf::ident
