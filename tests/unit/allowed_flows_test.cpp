#include "daemon/gate/allowed_flows.hpp"

#include "tests/unit/made_flows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

namespace ubf {
namespace {

using namespace made;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using Added = AllowedFlows::Added;
using Again = AllowedFlows::Again;

bool all_is_over(const AllowedFlow&) {
    return true;
}

// The source ports of the flows that are due.
std::vector<int> due(AllowedFlows& flows, TimePoint now) {
    std::vector<int> ports;
    while (const auto id = flows.take_due(now))
        ports.push_back(flows[*id].flow.source.port);
    return ports;
}

TEST(AllowedFlows, of_one_flow_remember_the_last_decision) {
    LabelledRoom room;
    AllowedFlows flows{room};
    add(flows, flow(7));
    add(flows, flow(7, bob, Reason::same_group));
    add(flows, flow(8));
    EXPECT_EQ(flows.size(), 2u);
    const auto id = flows.find(flow(7).flow);
    ASSERT_TRUE(id);
    EXPECT_EQ(flows[*id].reason, Reason::same_group);
    EXPECT_FALSE(flows.find(flow(9).flow));
    flows.remove(*id);
    EXPECT_FALSE(flows.find(flow(7).flow));
    EXPECT_EQ(flows.size(), 1u);
}

TEST(AllowedFlows, are_found_among_many_that_come_and_go) {
    LabelledRoom room;
    AllowedFlows flows(room, 200'000);
    for (unsigned i = 0; i < 150'000; ++i)
        add(flows, flow(i));
    for (unsigned i = 0; i < 150'000; i += 2)
        flows.remove(*flows.find(flow(i).flow));
    for (unsigned i = 0; i < 150'000; ++i)
        ASSERT_EQ(flows.find(flow(i).flow).has_value(), i % 2 == 1) << i;
    const auto slots = flows.slots();
    for (unsigned i = 0; i < 150'000; i += 2)
        add(flows, flow(i));
    EXPECT_EQ(flows.slots(), slots);
}

TEST(AllowedFlows, rest_until_they_are_hastened) {
    LabelledRoom room;
    AllowedFlows flows{room};
    add(flows, flow(1));
    add(flows, flow(2));
    EXPECT_FALSE(flows.next());
    flows.hasten(*flows.find(flow(2).flow), start);
    EXPECT_EQ(flows.next(), start);
    EXPECT_THAT(due(flows, start), ElementsAre(2));
    EXPECT_FALSE(flows.next());
}

TEST(AllowedFlows, that_are_watched_come_up_in_turn) {
    LabelledRoom room;
    AllowedFlows flows{room};
    for (unsigned i = 1; i <= 3; ++i)
        flows.add(flow(i, alice, Reason::same_label), true, {}, start + seconds(i),
                  nothing_is_over);
    EXPECT_EQ(flows.next(), start + seconds(11));
    EXPECT_THAT(due(flows, start + seconds(12)), ElementsAre(1, 2));
    flows.put_back(*flows.find(flow(1).flow), Again::soon, start + seconds(12));
    flows.put_back(*flows.find(flow(2).flow), Again::later, start + seconds(12));
    EXPECT_THAT(due(flows, start + seconds(13)), ElementsAre(1, 3));
    EXPECT_THAT(due(flows, start + seconds(22)), ElementsAre(2));
}

TEST(AllowedFlows, that_are_hastened_come_up_before_others) {
    LabelledRoom room;
    AllowedFlows flows{room};
    for (unsigned i = 1; i <= 4; ++i)
        flows.add(flow(i, i == 3 ? bob : alice, Reason::same_label), true, start + minutes(10),
                  start, nothing_is_over);
    flows.hasten_watched([](const auto& entry) { return entry.connector.is(bob); }, start);
    EXPECT_THAT(due(flows, start), ElementsAre(3));
    EXPECT_EQ(flows[*flows.find(flow(3).flow)].decide, start);
    EXPECT_EQ(flows[*flows.find(flow(1).flow)].decide, start + minutes(10));
}

TEST(AllowedFlows, in_hand_are_neither_hastened_nor_forgotten) {
    LabelledRoom room;
    AllowedFlows flows(room, 1);
    add(flows, flow(1));
    const auto id = *flows.find(flow(1).flow);
    flows.hasten(id, start);
    EXPECT_EQ(flows.take_due(start), id);
    EXPECT_TRUE(flows.is_in_hand(id));
    flows.hasten(id, start);
    EXPECT_FALSE(flows.take_due(start));
    EXPECT_EQ(add(flows, flow(2, bob), start + seconds(9), all_is_over), Added::no_room);
    flows.keep(id, Reason::same_group, false, {}, start);
    EXPECT_EQ(flows[id].reason, Reason::same_group);
    EXPECT_FALSE(flows.next());
    EXPECT_EQ(add(flows, flow(2, bob), start + seconds(9), all_is_over), Added::remembered);
}

TEST(AllowedFlows, are_watched_or_not_as_their_reason_changes) {
    LabelledRoom room;
    AllowedFlows flows{room};
    add(flows, flow(1));
    const auto id = *flows.find(flow(1).flow);
    flows.keep(id, Reason::same_label, true, start + minutes(10), start);
    EXPECT_EQ(flows.next(), start + AllowedFlows::pause);
    // A flow that is watched already keeps its turn.
    flows.keep(id, Reason::same_label, true, start + minutes(10), start + seconds(5));
    EXPECT_EQ(flows.next(), start + AllowedFlows::pause);
    flows.keep(id, Reason::same_user, false, {}, start + seconds(5));
    EXPECT_FALSE(flows.next());
}

TEST(AllowedFlows, that_are_over_make_room) {
    LabelledRoom room;
    AllowedFlows flows(room, 100);
    for (unsigned i = 0; i < 100; ++i)
        add(flows, flow(i));
    for (unsigned i = 100; i < 10'000; ++i)
        ASSERT_EQ(add(flows, flow(i), start + seconds(1), all_is_over), Added::remembered);
    EXPECT_EQ(flows.size(), 100u);
    EXPECT_EQ(flows.slots(), 100u);
}

TEST(AllowedFlows, that_may_not_have_begun_are_not_taken_for_over) {
    LabelledRoom room;
    AllowedFlows flows(room, 1);
    add(flows, flow(1));
    EXPECT_EQ(add(flows, flow(2), start + milliseconds(999), all_is_over), Added::no_room);
    EXPECT_TRUE(flows.find(flow(1).flow));
}

TEST(AllowedFlows, look_at_two_others_at_most) {
    LabelledRoom room;
    AllowedFlows flows(room, 100);
    for (unsigned i = 0; i < 100; ++i)
        add(flows, flow(i));
    std::set<Port> seen;
    unsigned looks = 0;
    for (unsigned i = 0; i < 50; ++i)
        add(flows, flow(1000 + i), start + seconds(5), [&](const AllowedFlow& old) {
            ++looks;
            seen.insert(old.flow.source.port);
            return false;
        });
    EXPECT_EQ(looks, 100u);
    EXPECT_EQ(seen.size(), 100u); // the search goes round
}

TEST(AllowedFlows, of_one_user_take_nobody_elses_room) {
    LabelledRoom room;
    AllowedFlows flows(room, 100);
    for (unsigned i = 0; i < 100; ++i)
        add(flows, flow(i));
    EXPECT_EQ(add(flows, flow(200), start + seconds(5)), Added::no_room);
    // bob's flows evict alice's until both have as many. Then neither evicts the other's.
    unsigned taken = 0;
    for (unsigned i = 0; i < 1000; ++i)
        taken += add(flows, flow(1000 + i, bob), start + seconds(5)) == Added::instead_of_another;
    EXPECT_GE(taken, 49u);
    EXPECT_LE(taken, 50u);
    EXPECT_EQ(add(flows, flow(201), start + seconds(5)), Added::no_room);
    EXPECT_EQ(flows.size(), 100u);
}

AllowedFlow labelled(unsigned number, Uid user) {
    return flow(number, user, Reason::same_label);
}

TEST(AllowedFlows, by_label_have_room_of_their_own_that_workers_share) {
    LabelledRoom room;
    AllowedFlows flows(room, 10), of_another_worker(room, 10);
    const auto add_labelled = [](AllowedFlows& to, unsigned i, Uid user) {
        return to.add(labelled(i, user), true, {}, start, nothing_is_over);
    };
    for (unsigned i = 0; i < LabelledRoom::most / 2; ++i)
        ASSERT_EQ(add_labelled(i % 2 == 0 ? flows : of_another_worker, i, alice),
                  Added::remembered);
    EXPECT_EQ(add_labelled(flows, 300'000, alice), Added::no_room);
    EXPECT_EQ(add_labelled(of_another_worker, 300'000, alice), Added::no_room);
    EXPECT_EQ(add_labelled(flows, 300'001, bob), Added::remembered);
    EXPECT_EQ(add(flows, flow(300'002)), Added::remembered);
    for (unsigned i : {0u, 2u})
        flows.remove(*flows.find(labelled(i, alice).flow));
    EXPECT_EQ(add_labelled(of_another_worker, 300'000, alice), Added::remembered);
}

TEST(AllowedFlows, by_label_leave_their_room_when_they_go) {
    LabelledRoom room;
    const auto fill = [&](AllowedFlows& flows) {
        unsigned count = 0;
        while (flows.add(labelled(count, alice), true, {}, start, nothing_is_over) !=
               Added::no_room)
            ++count;
        return count;
    };
    for (int times = 0; times < 2; ++times) {
        AllowedFlows flows(room);
        EXPECT_EQ(fill(flows), LabelledRoom::most / 2);
        for (unsigned i = 0; i < 100; ++i) // these flows rest now, and count elsewhere
            flows.keep(*flows.find(labelled(i, alice).flow), Reason::same_user, false, start,
                       start);
        EXPECT_EQ(flows.size(), LabelledRoom::most / 2);
        EXPECT_EQ(flows.add(labelled(300'000, alice), true, {}, start, nothing_is_over),
                  Added::remembered);
    }
}

// 1,600 flows a second come up, however many there are.
TEST(AllowedFlows, by_label_come_up_less_often_the_more_there_are) {
    LabelledRoom room;
    AllowedFlows flows(room);
    for (unsigned i = 0; i < 65'536; ++i)
        flows.add(labelled(i, alice), true, {}, start, nothing_is_over);
    flows.add(flow(70'000, alice, Reason::same_user, Protocol::udp), true, {}, start,
              nothing_is_over);
    const auto come_up_by = [&](std::chrono::seconds when) {
        return due(flows, start + when).size();
    };
    EXPECT_EQ(come_up_by(AllowedFlows::pause), 16'384u); // UDP as ever
    EXPECT_EQ(come_up_by(2 * AllowedFlows::pause), 16'384u);
    EXPECT_EQ(come_up_by(4 * AllowedFlows::pause), 32'768u);
}

TEST(FlowFilter, fits_by_either_user_reason_and_flow) {
    auto allowed = flow(1, bob, Reason::same_group);
    EXPECT_TRUE((FlowFilter{}.fits(allowed)));
    EXPECT_TRUE((FlowFilter{alice}.fits(allowed)));
    EXPECT_TRUE((FlowFilter{bob}.fits(allowed)));
    EXPECT_FALSE((FlowFilter{Uid{7}}.fits(allowed)));
    EXPECT_TRUE((FlowFilter{bob, Reason::same_group, allowed.flow}.fits(allowed)));
    EXPECT_FALSE((FlowFilter{bob, Reason::same_user}.fits(allowed)));
    EXPECT_FALSE((FlowFilter{{}, {}, allowed.flow.reversed()}.fits(allowed)));
    allowed.reply = true;
    EXPECT_TRUE((FlowFilter{{}, {}, allowed.flow.reversed()}.fits(allowed)));
    allowed.connector = {OwnerKind::kernel, Uid{0}};
    EXPECT_FALSE((FlowFilter{Uid{0}}.fits(allowed)));
}

std::optional<Reason> by_uid(const AllowedFlow& allowed, const Policy& policy, bool is_peer = true,
                             bool is_local = false) {
    std::vector<Prefix> peers{*Prefix::parse(to_string(allowed.flow.destination.address))};
    if (is_peer)
        peers.push_back(*Prefix::parse(to_string(allowed.flow.source.address)));
    return allowed_by_uid(allowed, is_local, peers, policy);
}

TEST(AllowedByUid, same_users_need_no_closer_look_unless_labels_are_required) {
    Policy policy;
    EXPECT_EQ(by_uid(flow(1), policy), Reason::same_user);
    policy.require_label = true;
    EXPECT_EQ(by_uid(flow(1), policy), std::nullopt);
    policy = {};
    policy.same_user = false;
    EXPECT_EQ(by_uid(flow(1), policy), std::nullopt);
}

TEST(AllowedByUid, groups_and_labels_take_a_closer_look) {
    EXPECT_EQ(by_uid(flow(1, bob, Reason::same_group), {}), std::nullopt);
    EXPECT_EQ(by_uid(flow(1, bob, Reason::same_label), {}), std::nullopt);
}

TEST(AllowedByUid, exemptions_go_by_user_and_kernel) {
    Policy policy;
    policy.exempt_connectors = {{{bob, bob}}};
    EXPECT_EQ(by_uid(flow(1, bob), policy), Reason::exempt_connector);
    auto of_kernel = flow(1);
    of_kernel.listener = {OwnerKind::kernel, Uid{0}};
    EXPECT_EQ(by_uid(of_kernel, {}), Reason::exempt_listener);
    policy.exempt_kernel.clear();
    EXPECT_EQ(by_uid(of_kernel, policy), std::nullopt);
    // Root's own socket is not the kernel's.
    auto of_root = flow(1, bob);
    of_root.listener = {OwnerKind::user, Uid{0}};
    EXPECT_EQ(by_uid(of_root, {}), std::nullopt);
}

TEST(AllowedByUid, an_end_outside_is_so_by_the_ranges_of_now) {
    Policy open;
    open.outside_allowed = true;
    auto outside = flow(1);
    outside.connector = {OwnerKind::outside, {}};
    EXPECT_EQ(by_uid(outside, open, false), Reason::outside_allowed);
    EXPECT_EQ(by_uid(outside, {}, false), std::nullopt);
    EXPECT_EQ(by_uid(outside, open, true), std::nullopt); // there is a ubfd to ask
    EXPECT_EQ(by_uid(flow(1), open, false), Reason::outside_allowed);
    EXPECT_EQ(by_uid(flow(1), {}, false), std::nullopt);
    EXPECT_EQ(by_uid(flow(1), {}, false, true), Reason::same_user);
    auto answer = outside; // its listener is the remote one
    answer.reply = true;
    answer.connector = {OwnerKind::user, alice};
    EXPECT_EQ(by_uid(answer, {}, false), std::nullopt);
    EXPECT_EQ(by_uid(answer, open, false), Reason::outside_allowed);
}

} // namespace
} // namespace ubf
