#include "daemon/gate/flow_walks.hpp"

#include "tests/unit/made_flows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace ubf {
namespace {

using namespace made;
using testing::ElementsAre;

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
