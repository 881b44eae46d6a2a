#include "daemon/gate/allowed_flows.hpp"

#include "daemon/gate/flow_walks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

namespace ubf {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using Added = AllowedFlows::Added;
using Again = AllowedFlows::Again;

constexpr TimePoint start{std::chrono::hours(1)};
constexpr Uid alice{1001};
constexpr Uid bob{1002};

AllowedFlow flow(unsigned number, Uid connector = alice, Reason reason = Reason::same_user,
                 Protocol protocol = Protocol::tcp) {
    AllowedFlow allowed;
    allowed.flow = {protocol,
                    {*Address::parse("10.0.0.1"), static_cast<Port>(number)},
                    {*Address::parse("10.0.0.2"), static_cast<Port>(8000 + number / 65536)}};
    allowed.reason = reason;
    allowed.listener = {OwnerKind::user, alice};
    allowed.connector = {OwnerKind::user, connector};
    allowed.since = start;
    return allowed;
}

bool nothing_is_over(const AllowedFlow&) {
    return false;
}

bool all_is_over(const AllowedFlow&) {
    return true;
}

Added add(AllowedFlows& flows, const AllowedFlow& allowed, TimePoint now = start,
          const std::function<bool(const AllowedFlow&)>& is_over = nothing_is_over) {
    return flows.add(allowed, false, {}, now, is_over);
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

// --- decisions by the uids alone ---

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

// --- walks ---

class Walks : public testing::Test {
  protected:
    void add_many(unsigned count, Uid user = alice, Reason reason = Reason::same_user) {
        for (unsigned i = 0; i < count; ++i) {
            auto old = flow(next++, user, reason);
            old.since = start - 2 * AllowedFlows::handshake;
            add(flows, old);
        }
    }

    FlowWalks::Result walk_to_the_end() {
        while (walks.any()) {
            const auto before = asked;
            walks.go_on(start);
            ++rounds;
            EXPECT_LE(asked - before, 64u); // about 200 us
        }
        return result;
    }

    LabelledRoom room;
    AllowedFlows flows{room};
    std::set<Port> over{};
    unsigned asked = 0; // of the kernel
    unsigned rounds = 0;
    unsigned next = 0;
    std::vector<Port> ended{};
    FlowWalks::Ended what_ending_does = FlowWalks::Ended::yes;
    FlowWalks walks{flows,
                    {[this](const AllowedFlow& allowed) {
                         ++asked;
                         return over.contains(allowed.flow.source.port);
                     },
                     [this](const AllowedFlow& allowed) {
                         ++asked;
                         ended.push_back(allowed.flow.source.port);
                         return what_ending_does;
                     }}};
    FlowWalks::Result result{};
    FlowWalks::Done done = [this](FlowWalks::Result r) { result = std::move(r); };
};

TEST_F(Walks, list_what_is_there_and_forget_what_is_not) {
    add_many(1000);
    add_many(1, bob, Reason::same_group);
    for (Port port = 0; port < 900; ++port)
        over.insert(port);
    walks.list({}, 10'000, done);
    EXPECT_EQ(walk_to_the_end().flows.size(), 101u);
    EXPECT_FALSE(result.truncated);
    EXPECT_EQ(flows.size(), 101u);
    EXPECT_GT(rounds, 15u);

    asked = 0;
    walks.list({bob}, 10'000, done);
    EXPECT_EQ(walk_to_the_end().flows.size(), 1u);
    EXPECT_EQ(asked, 1u);
}

TEST_F(Walks, list_as_many_as_are_asked_for) {
    add_many(100);
    walks.list({}, 100, done);
    walk_to_the_end();
    EXPECT_EQ(result.flows.size(), 100u);
    EXPECT_FALSE(result.truncated);
    walks.list({}, 99, done);
    walk_to_the_end();
    EXPECT_EQ(result.flows.size(), 99u);
    EXPECT_TRUE(result.truncated);
}

TEST_F(Walks, end_those_that_fit_and_no_others) {
    add_many(5);
    add_many(2, bob, Reason::same_group);
    walks.end({{}, Reason::same_group}, done);
    EXPECT_EQ(walk_to_the_end().ended, 2u);
    EXPECT_THAT(ended, ElementsAre(5, 6));
    EXPECT_EQ(flows.size(), 5u);
    what_ending_does = FlowWalks::Ended::over_already;
    walks.end({}, done);
    EXPECT_EQ(walk_to_the_end().ended, 0u);
    EXPECT_EQ(flows.size(), 0u);
}

TEST_F(Walks, keep_what_could_not_be_ended) {
    add_many(3);
    what_ending_does = FlowWalks::Ended::refused;
    walks.end({}, done);
    EXPECT_EQ(walk_to_the_end().not_ended, 3u);
    EXPECT_EQ(flows.size(), 3u);
}

TEST_F(Walks, keep_what_may_not_have_begun) {
    auto young = flow(1);
    young.since = start;
    add(flows, young);
    over.insert(1);
    walks.list({}, 10, done);
    EXPECT_TRUE(walk_to_the_end().flows.empty());
    what_ending_does = FlowWalks::Ended::over_already;
    walks.end({}, done);
    walk_to_the_end();
    EXPECT_EQ(flows.size(), 1u);
}

TEST_F(Walks, look_at_all_from_the_beginning_where_the_rules_change_again) {
    add_many(10'000);
    unsigned first = 0;
    unsigned second = 0;
    walks.look_at_all([&](auto, auto) { ++first; });
    walks.go_on(start);
    EXPECT_LT(first, 2000u);
    walks.look_at_all([&](auto, auto) { ++second; });
    const auto before = first;
    walk_to_the_end();
    EXPECT_EQ(first, before);
    EXPECT_EQ(second, 10'000u);
}

TEST_F(Walks, with_nothing_to_walk_on_are_done_at_once) {
    bool called = false;
    walks.list({}, 10, [&](auto) { called = true; });
    walks.go_on(start);
    EXPECT_TRUE(called);
    EXPECT_FALSE(walks.any());
}

} // namespace
} // namespace ubf
