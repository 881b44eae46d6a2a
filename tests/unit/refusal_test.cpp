// Refusals are remembered, a share for each user, and come back from a file.
#include "daemon/log/refusals.hpp"

#include "daemon/control/refusal_desk.hpp"
#include "daemon/log/telling_shares.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>

namespace ubf {
namespace {

constexpr std::chrono::system_clock::time_point now{std::chrono::years(55)};
constexpr Uid alice{2001};
constexpr Uid bob{2002};
constexpr Uid carol{2003};
constexpr Gid proj{500};
constexpr Gid staff{501};

Owner member(Uid uid, std::vector<Gid> groups, const char* program = "python3") {
    auto owner = Owner::user(uid);
    auto& credentials = owner.credentials.emplace();
    credentials.groups = std::move(groups);
    credentials.process = {Pid{812}, program, 7};
    return owner;
}

Denial denial(Uid connector, Port port, Port source = 40000) {
    Denial denied;
    denied.flow = {
        Protocol::tcp, {*Address::parse("10.0.0.1"), source}, {*Address::parse("10.0.0.2"), port}};
    denied.reason = Reason::different_user;
    denied.connector = member(connector, {proj, staff}, "curl");
    denied.listener = member(alice, {staff});
    denied.person = connector;
    return denied;
}

Refusal refusal(Uid connector, Port port, Port source = 40000) {
    return Refusal::of(denial(connector, port, source), now);
}

bool any(const Refusal&) {
    return true;
}

TEST(Refusal, knows_the_groups_that_both_ends_have) {
    EXPECT_EQ(refusal(bob, 8888).common, std::vector<Gid>{staff});
}

TEST(Refusal, comes_back_from_json_as_it_was) {
    auto before = refusal(bob, 8888);
    before.id = 77;
    before.count = 3;
    before.observed = true;
    before.told_by = Address::parse("10.0.0.9");
    before.connector.via = Uid{33};
    const auto after = to_refusal(to_json(before));
    ASSERT_TRUE(after);
    EXPECT_EQ(to_json(*after).dump(), to_json(before).dump());
    auto of_rdma = before;
    of_rdma.flow.protocol = Protocol::rdma;
    EXPECT_TRUE(to_refusal(to_json(of_rdma)));
}

TEST(Refusal, is_read_from_no_other_json) {
    for (const char* text :
         {"", "[]", "{}", "7", R"({"from": 1, "to": 2, "protocol": "tcp", "reason": "revoked"})",
          R"({"from": "10.0.0.1:1", "to": "10.0.0.2:2", "protocol": "tcp", "reason": "because"})",
          R"({"from": "10.0.0.1:1", "to": "10.0.0.2:2", "protocol": "sctp", "reason": "revoked"})"})
        EXPECT_FALSE(to_refusal(nlohmann::ordered_json::parse(text, nullptr, false))) << text;
    const auto odd = to_refusal(nlohmann::ordered_json::parse(
        R"({"from": "10.0.0.1:1", "to": "10.0.0.2:2", "protocol": "tcp", "reason": "revoked",
            "last_ms": 9223372036854775807, "count": -1, "connector": [], "listener": {"uid": "x"},
            "common_groups": ["a", 1.5, {}], "told_by": "nobody"})"));
    ASSERT_TRUE(odd);
    EXPECT_TRUE(odd->common.empty());
    EXPECT_FALSE(odd->told_by);
}

std::ptrdiff_t count_of(const RefusalMemory& memory, Uid uid) {
    return std::ranges::count_if(memory.all(),
                                 [&](const auto& each) { return each->concerns(uid); });
}

TEST(RefusalMemory, counts_those_that_differ_in_the_source_port_alone) {
    RefusalMemory memory(1);
    const auto first = memory.add(refusal(bob, 8888, 40000));
    const auto second = memory.add(refusal(bob, 8888, 40001));
    EXPECT_TRUE(first.is_new);
    EXPECT_FALSE(second.is_new);
    EXPECT_EQ(first.id, second.id);
    EXPECT_NE(memory.add(refusal(bob, 8889)).id, first.id);
    EXPECT_EQ(memory.size(), 2u);
    const auto all = memory.all();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all.front()->count, 2u);
    EXPECT_EQ(all.front()->flow.source.port, 40001);
}

TEST(RefusalMemory, nobody_s_loop_makes_others_forget) {
    RefusalMemory memory(1);
    memory.add(refusal(carol, 8888));
    for (unsigned port = 1; port <= 2 * RefusalMemory::most; ++port)
        memory.add(refusal(bob, static_cast<Port>(port)));
    EXPECT_EQ(memory.size(), RefusalMemory::share + 1);
    EXPECT_EQ(count_of(memory, carol), 1);
}

TEST(RefusalMemory, whoever_has_most_gives_way) {
    RefusalMemory memory(1);
    for (std::uint32_t user = 3000; memory.size() < RefusalMemory::most; ++user)
        for (unsigned port = 1; port <= RefusalMemory::share / 2; ++port)
            memory.add(refusal(Uid{user}, static_cast<Port>(port)));
    memory.add(refusal(carol, 8888));
    EXPECT_EQ(memory.size(), RefusalMemory::most);
    EXPECT_EQ(count_of(memory, carol), 1);
}

// A user has 65,536 subordinate uids or so, a peer may name any user, and anybody may send from
// many addresses.
TEST(RefusalMemory, nobody_s_many_names_make_others_forget) {
    RefusalMemory memory(1);
    for (Port port = 1; port <= 10; ++port)
        memory.add(refusal(carol, port));
    for (std::uint32_t number = 0; number < 2 * RefusalMemory::most; ++number) {
        auto one = refusal(Uid{100'000 + number}, 8888);
        one.person = number % 2 == 0 ? std::optional(bob) : std::nullopt; // by what is known yet
        memory.add(one);
        one.told_by = Address::parse("10.0.0.9");
        memory.add(one);
        one.told_by.reset();
        one.person.reset();
        one.connector = one.listener = {};
        one.flow.source.address =
            *Address::parse(fmt::format("10.1.{}.{}", number / 256, number % 256));
        memory.add(one);
    }
    EXPECT_EQ(count_of(memory, carol), 10);
}

TEST(RefusalMemory, what_a_peer_tells_makes_nobody_forget_what_was_refused_here) {
    RefusalMemory memory(1);
    memory.add(refusal(carol, 8888));
    for (unsigned port = 1; port <= 2 * RefusalMemory::share; ++port) {
        auto told = refusal(carol, static_cast<Port>(port));
        told.told_by = Address::parse("10.0.0.9");
        memory.add(told);
    }
    EXPECT_EQ(memory.size(), RefusalMemory::share + 1);
    EXPECT_TRUE(std::ranges::any_of(memory.all(), [](const auto& each) { return !each->told_by; }));
}

TEST(RefusalMemory, changes_nothing_that_was_read) {
    RefusalMemory memory(1);
    memory.add(refusal(bob, 8888, 40000));
    const auto before = memory.all();
    memory.add(refusal(bob, 8888, 40001));
    EXPECT_EQ(before.front()->count, 1u);
    EXPECT_EQ(memory.all().front()->count, 2u);
}

TEST(RefusalMemory, gives_no_id_twice) {
    RefusalMemory memory(~std::uint32_t{0});
    auto old = refusal(bob, 1);
    old.id = 1;
    memory.restore(old);
    EXPECT_EQ(memory.add(refusal(bob, 2)).id, ~std::uint32_t{0});
    EXPECT_EQ(memory.add(refusal(bob, 3)).id, 2u); // neither 0, which means none, nor 1
}

TEST(TellingShares, one_s_loop_keeps_nobody_from_being_told) {
    TellingShares shares;
    TimePoint time{std::chrono::seconds(1000)};
    unsigned told = 0;
    for (std::uint32_t number = 0; number < 1000; ++number) {
        auto one = refusal(Uid{100'000 + number}, 8888);
        one.person = number % 2 == 0 ? std::optional(bob) : std::nullopt;
        told += shares.take(one, time) ? 1 : 0;
    }
    EXPECT_EQ(told, 2 * TellingShares::share);
    EXPECT_TRUE(shares.take(refusal(carol, 8888), time));
    EXPECT_FALSE(shares.take(refusal(bob, 8888), time));
    time += std::chrono::seconds(1);
    EXPECT_TRUE(shares.take(refusal(bob, 8888), time));
}

class RefusalsTest : public testing::Test {
  protected:
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("ubf-refusals-" + std::to_string(::getpid()));
    const std::filesystem::path file = folder / "refusals.jsonl";

    ~RefusalsTest() override { std::filesystem::remove_all(folder); }
};

TEST_F(RefusalsTest, outlive_a_restart) {
    std::uint32_t id = 0;
    {
        Refusals refusals;
        EXPECT_FALSE(refusals.begin(file));
        auto denied = denial(bob, 8888);
        refusals.add(denied, now);
        id = denied.id;
        EXPECT_FALSE(refusals.look(TimePoint{}, true));
    }
    EXPECT_EQ(std::filesystem::status(file).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    Refusals refusals;
    EXPECT_FALSE(refusals.begin(file));
    const auto all = refusals.list(10, any);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all.front().id, id);
    EXPECT_EQ(all.front().person, bob);
}

TEST_F(RefusalsTest, show_a_program_of_any_name_alike_after_each_restart) {
    std::string before;
    for (int start = 0; start < 3; ++start) {
        Refusals refusals;
        refusals.begin(file);
        if (start == 0) {
            auto denied = denial(bob, 8888);
            denied.connector.credentials->process.comm = "\xff\x1b[2J\n\\x41 \\";
            denied.labels = "\\";
            refusals.add(denied, now);
        }
        refusals.look(TimePoint{}, true);
        const auto shown = to_json(refusals.list(1, any).at(0)).dump();
        if (start == 0)
            before = shown;
        EXPECT_EQ(shown, before);
    }
}

TEST_F(RefusalsTest, the_newest_are_listed_first) {
    Refusals refusals;
    for (const Port port : {Port{1}, Port{2}, Port{3}}) {
        auto denied = denial(port == 2 ? carol : bob, port);
        refusals.add(denied, now + std::chrono::milliseconds(port));
    }
    const auto bobs = refusals.list(1, [](const Refusal& each) { return each.concerns(bob); });
    ASSERT_EQ(bobs.size(), 1u);
    EXPECT_EQ(bobs.front().flow.destination.port, 3);
}

TEST_F(RefusalsTest, a_file_of_rubbish_is_passed_over_and_said) {
    std::filesystem::create_directories(folder);
    std::ofstream(file) << "rubbish\n{}\n"
                        << std::string(100000, 'x') << "\n"
                        << to_json([] {
                               auto one = refusal(bob, 1);
                               one.id = 5;
                               return one;
                           }())
                               .dump()
                        << '\n';
    Refusals refusals;
    const auto mistake = refusals.begin(file);
    ASSERT_TRUE(mistake);
    EXPECT_NE(mistake->find("3 lines are no refusals"), std::string::npos) << *mistake;
    EXPECT_EQ(refusals.size(), 1u);
}

TEST_F(RefusalsTest, the_connectors_node_is_told_of_a_new_one_once_and_never_of_what_it_told) {
    Refusals refusals;
    unsigned told = 0;
    refusals.on_new([&](const Refusal&) { ++told; });
    for (int i = 0; i < 3; ++i) {
        auto denied = denial(bob, 8888);
        refusals.add(denied, now);
    }
    EXPECT_EQ(told, 0u); // not on the packet path
    refusals.tell_new();
    refusals.tell_new();
    EXPECT_EQ(told, 1u);
    auto heard = denial(bob, 9999);
    heard.told_by = Address::parse("10.0.0.9");
    refusals.add(heard, now);
    refusals.tell_new();
    EXPECT_EQ(told, 1u);
}

TEST_F(RefusalsTest, a_user_sees_his_own_ends_and_nothing_of_the_other) {
    Refusals refusals;
    auto denied = denial(bob, 8888);
    denied.labels = "labels: listener secret, connector none";
    refusals.add(denied, now);
    const RefusalDesk desk(refusals);
    const Policy policy;
    for (const bool reveal : {false, true}) {
        const auto rows = desk.why({}, bob, reveal, policy).at("refusals");
        ASSERT_EQ(rows.size(), 1u);
        const auto& row = rows.front();
        EXPECT_EQ(row.at("role"), "connector");
        EXPECT_EQ(row.at("connector").at("program"), "curl");
        EXPECT_EQ(row.at("listener").contains("uid"), reveal);
        for (const char* key : {"program", "pid", "job", "gid"})
            EXPECT_FALSE(row.at("listener").contains(key)) << key;
        EXPECT_FALSE(row.contains("labels"));
    }
    EXPECT_EQ(desk.why({}, alice, true, policy).at("refusals").front().at("role"), "listener");
    EXPECT_TRUE(desk.why({}, carol, true, policy).at("refusals").empty());
    EXPECT_EQ(desk.list({}, policy).at("refusals").size(), 1u);
    // A group that counts for nothing is no advice.
    EXPECT_EQ(desk.why({}, bob, true, policy).at("refusals").front().at("common_groups").size(),
              1u);
    for (const auto& useless : {Policy{.ignored_groups = {staff}}, Policy{.same_group = false}})
        EXPECT_TRUE(
            desk.why({}, bob, true, useless).at("refusals").front().at("common_groups").empty());
}

} // namespace
} // namespace ubf
