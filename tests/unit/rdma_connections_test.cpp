#include "daemon/rdma/connections.hpp"

#include "base/json.hpp"

#include <gtest/gtest.h>

namespace ubf::rdma {
namespace {

CmId id(State state, const char* source, const char* destination = nullptr,
        std::uint32_t number = 1, std::int32_t task = 100) {
    CmId result;
    result.key = {1, number};
    result.state = state;
    result.port_space = 0x106;
    result.source = *Endpoint::parse(source);
    if (destination != nullptr)
        result.destination = Endpoint::parse(destination);
    if (task != 0)
        result.maker.task = Pid{task};
    return result;
}

const CmId bound = id(State::address_bound, "10.0.0.1:40000");
const CmId connected = id(State::connect, "10.0.0.1:40000", "10.0.0.2:7174");

Holder process(std::int32_t pid) {
    return {Pid{pid}, {"rping", Uid{1}, Gid{1}, {}, Pid{pid}, Uid{1}, Gid{1}}};
}

struct RdmaConnections : testing::Test {
    Connections connections;

    // As the kernel's table is read.
    void read(const std::vector<CmId>& table, const std::vector<QueuePair>& pairs = {}) {
        connections.merge(table, Clock::now());
        std::map<CmKey, Holder> read;
        for (const auto& [key, task] : connections.take_new_makers())
            read.emplace(key, process(value(task)));
        connections.learn(std::move(read), table);
        if (connections.want_pairs())
            connections.see(pairs);
    }
    Report news() {
        Report report;
        connections.tell(report);
        return report;
    }
};

TEST_F(RdmaConnections, a_new_connection_is_told_once_with_its_maker) {
    read({});
    read({bound});
    EXPECT_FALSE(connections.has_news());
    read({connected});
    ASSERT_TRUE(connections.has_news());
    const auto report = news();
    ASSERT_EQ(report.connections.size(), 1u);
    const auto& told = report.connections[0];
    EXPECT_EQ(told.key, connected.key);
    EXPECT_EQ(to_string(told.way_out()), "rdma 10.0.0.1:40000 -> 10.0.0.2:7174");
    EXPECT_EQ(told.end, End::connector);
    EXPECT_TRUE(told.connected && told.established);
    EXPECT_FALSE(told.old);
    ASSERT_TRUE(told.process);
    EXPECT_EQ(told.process->pid, Pid{100});
    read({connected});
    EXPECT_FALSE(connections.has_news());
    EXPECT_EQ(connections.number(), 1u);
}

TEST_F(RdmaConnections, one_that_was_there_at_first_is_old) {
    read({connected});
    const auto report = news();
    ASSERT_EQ(report.connections.size(), 1u);
    EXPECT_TRUE(report.connections[0].old);
}

TEST_F(RdmaConnections, a_disconnected_end_and_one_that_is_gone_are_told) {
    read({});
    read({connected});
    news();
    auto ending = id(State::disconnect, "10.0.0.1:40000");
    read({ending});
    auto report = news();
    ASSERT_EQ(report.connections.size(), 1u);
    EXPECT_FALSE(report.connections[0].connected);
    EXPECT_EQ(to_string(report.connections[0].theirs), "10.0.0.2:7174");
    read({});
    report = news();
    EXPECT_TRUE(report.connections.empty());
    EXPECT_EQ(report.gone, std::vector{connected.key});
    EXPECT_FALSE(connections.has_news());
}

TEST_F(RdmaConnections, one_that_nobody_was_told_of_ends_untold) {
    read({connected});
    read({});
    EXPECT_FALSE(connections.has_news());
}

TEST_F(RdmaConnections, a_listeners_end_is_its_listeners_makers) {
    read({});
    const auto listener = id(State::listen, "10.0.0.2:7174", nullptr, 5, 200);
    const auto accepted = id(State::connect, "10.0.0.2:7174", "10.0.0.1:40000", 6, 0);
    read({listener, accepted});
    auto report = news();
    ASSERT_EQ(report.connections.size(), 1u);
    EXPECT_EQ(report.connections[0].end, End::listener);
    ASSERT_TRUE(report.connections[0].process);
    EXPECT_EQ(report.connections[0].process->pid, Pid{200});
}

TEST_F(RdmaConnections, a_listener_that_is_gone_by_now_was_there_before) {
    read({id(State::listen, "0.0.0.0:7174", nullptr, 5)});
    read({id(State::connect, "10.0.0.2:7174", "10.0.0.1:40000", 6)});
    EXPECT_EQ(news().connections.at(0).end, End::listener);
}

TEST_F(RdmaConnections, a_pid_that_was_reused_meanwhile_names_nobody) {
    read({});
    connections.merge({connected}, Clock::now());
    ASSERT_EQ(connections.take_new_makers().size(), 1u);
    auto other = connected;
    other.maker.task.reset(); // the kernel names an ended task no more
    connections.learn({{connected.key, process(100)}}, {other});
    EXPECT_FALSE(news().connections.at(0).process);
}

TEST_F(RdmaConnections, the_maker_is_looked_at_again_when_it_connects) {
    read({bound});
    auto handed_over = connected;
    handed_over.maker.task = Pid{101};
    read({handed_over});
    EXPECT_EQ(news().connections.at(0).process->pid, Pid{101});
}

TEST_F(RdmaConnections, a_queue_pair_tells_whether_it_is_established) {
    auto with_pair = connected;
    with_pair.queue_pair = 17;
    QueuePair pair{1, 17, 2, 1, {}};  // RC, INIT
    QueuePair stray{1, 18, 2, 3, {}}; // RC, RTS
    QueuePair kernels{1, 19, 2, 3, {std::nullopt, true}};
    read({});
    connections.merge({with_pair}, Clock::now());
    EXPECT_EQ(connections.see({pair, stray, kernels}), 1u);
    EXPECT_FALSE(news().connections.at(0).established);
    pair.state = 3;
    read({with_pair}, {pair});
    auto report = news();
    ASSERT_EQ(report.connections.size(), 1u);
    EXPECT_TRUE(report.connections[0].established);
    read({with_pair}, {});
    EXPECT_FALSE(connections.want_pairs());
}

TEST_F(RdmaConnections, all_is_told_again_to_one_who_comes_anew) {
    read({});
    read({connected, id(State::connect, "10.0.0.1:40001", "10.0.0.2:7174", 2)});
    EXPECT_EQ(news().connections.size(), 2u);
    read({connected});
    connections.tell_all_again();
    const auto report = news();
    EXPECT_EQ(report.connections.size(), 1u);
    EXPECT_TRUE(report.gone.empty());
    EXPECT_FALSE(report.connections[0].old);
}

TEST_F(RdmaConnections, much_news_is_told_in_parts) {
    read({});
    std::vector<CmId> many;
    for (std::uint32_t i = 0; i < 5000; ++i)
        many.push_back(id(State::connect, "10.0.0.1:40000", "10.0.0.2:7174", i));
    read(many);
    std::size_t told = 0;
    int parts = 0;
    for (; connections.has_news(); ++parts) {
        const auto report = news();
        EXPECT_LT(to_line(to_json(report)).size(), 2 * good_line);
        told += report.connections.size();
    }
    EXPECT_EQ(told, 5000u);
    EXPECT_GT(parts, 5);
    read({});
    for (told = 0; connections.has_news();) {
        const auto report = news();
        EXPECT_LT(to_line(to_json(report)).size(), 2 * good_line);
        told += report.gone.size();
    }
    EXPECT_EQ(told, 5000u);
}

} // namespace
} // namespace ubf::rdma
