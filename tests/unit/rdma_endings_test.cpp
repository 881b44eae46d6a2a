#include "daemon/rdma/endings.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ubf::rdma {
namespace {

// A real process, which waits to be killed.
class Victim {
  public:
    Victim()
      : pid_(::fork()) {
        if (pid_ == 0) {
            ::pause();
            ::_exit(0);
        }
    }
    ~Victim() {
        if (pid_ > 0)
            ::kill(pid_, SIGKILL);
        was_killed();
    }
    Pid pid() const { return Pid{pid_}; }
    // Waits for its end; whether SIGKILL was it.
    bool was_killed() {
        int status = 0;
        return pid_ > 0 && ::waitpid(std::exchange(pid_, -1), &status, 0) > 0 &&
               WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    bool goes_on() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }

  private:
    pid_t pid_;
};

struct RdmaEndings : testing::Test {
    Victim victim;
    ProcessSearch processes;
    Connections connections;
    std::vector<CmId> table;
    bool listed = true; // by the kernel
    Endings endings{connections, processes,
                    [this] { return listed ? std::optional(table) : std::nullopt; }};
    const CmKey key{1, 1};

    CmId connection(Pid task) const {
        CmId id;
        id.key = key;
        id.state = State::connect;
        id.source = *Endpoint::parse("10.0.0.1:40000");
        id.destination = Endpoint::parse("10.0.0.2:7174");
        id.maker.task = task;
        return id;
    }
    void read(std::vector<CmId> now) {
        table = std::move(now);
        connections.merge(table, Clock::now());
        std::map<CmKey, Holder> read;
        for (const auto& [id, task] : connections.take_new_makers())
            if (auto process = processes.task(task))
                read.emplace(id, std::move(*process));
        connections.learn(std::move(read), table);
    }
    void begin() {
        read({});
        read({connection(victim.pid())});
    }
    void expect_not_ended(const char* why) {
        EXPECT_TRUE(victim.goes_on());
        const auto outcomes = endings.take_outcomes();
        ASSERT_EQ(outcomes.size(), 1u);
        EXPECT_EQ(outcomes[0].key, key);
        EXPECT_FALSE(outcomes[0].ended);
        EXPECT_NE(outcomes[0].note.find(why), std::string::npos) << outcomes[0].note;
        EXPECT_FALSE(endings.any());
    }
};

TEST_F(RdmaEndings, the_connectors_process_is_killed_and_told_when_the_connection_is_gone) {
    begin();
    const auto now = Clock::now();
    endings.order(key, now);
    EXPECT_TRUE(victim.was_killed());
    endings.look(now);
    EXPECT_TRUE(endings.any());
    EXPECT_FALSE(endings.has_outcomes());
    read({});
    endings.look(Clock::now());
    const auto outcomes = endings.take_outcomes();
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_TRUE(outcomes[0].ended);
    EXPECT_NE(outcomes[0].note.find("] was killed, "), std::string::npos);
    EXPECT_FALSE(endings.any());
}

TEST_F(RdmaEndings, a_connection_that_another_process_still_holds_is_not_ended) {
    begin();
    const auto now = Clock::now();
    endings.order(key, now);
    EXPECT_TRUE(victim.was_killed());
    endings.look(now + std::chrono::seconds(6));
    const auto outcomes = endings.take_outcomes();
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_FALSE(outcomes[0].ended);
    EXPECT_NE(outcomes[0].note.find("another process holds the connection"), std::string::npos);
}

TEST_F(RdmaEndings, an_unknown_connection_is_over) {
    begin();
    endings.order({1, 2}, Clock::now());
    EXPECT_TRUE(victim.goes_on());
    EXPECT_FALSE(endings.take_outcomes().at(0).ended);
}

TEST_F(RdmaEndings, what_was_there_at_first_is_left_alone_whatever_ubfd_orders) {
    read({connection(victim.pid())});
    endings.order(key, Clock::now());
    expect_not_ended("it is older than ubf-rdmad");
}

TEST_F(RdmaEndings, so_is_the_listeners_process) {
    auto listener = connection(victim.pid());
    listener.key.number = 5;
    listener.state = State::listen;
    listener.destination.reset();
    read({});
    read({listener, connection(victim.pid())});
    endings.order(key, Clock::now());
    expect_not_ended("it is not certain who began it");
}

TEST_F(RdmaEndings, so_is_the_maker_of_a_connection_that_has_ended_meanwhile) {
    begin();
    table.clear();
    endings.order(key, Clock::now());
    expect_not_ended("has ended or can't be killed");
}

TEST_F(RdmaEndings, so_is_a_process_that_the_kernel_does_not_name_any_more) {
    begin();
    table[0].maker.task.reset();
    endings.order(key, Clock::now());
    expect_not_ended("has ended or can't be killed");
}

TEST_F(RdmaEndings, so_is_everybody_when_the_kernel_does_not_list_connections) {
    begin();
    listed = false;
    endings.order(key, Clock::now());
    expect_not_ended("has ended or can't be killed");
}

TEST_F(RdmaEndings, so_is_a_connection_without_a_maker_or_of_the_kernels) {
    auto orphan = connection(victim.pid());
    orphan.maker.task.reset();
    read({});
    read({orphan});
    endings.order(key, Clock::now());
    expect_not_ended("the thread that made it has ended");
    orphan.maker.kernel = true;
    read({orphan});
    endings.order(key, Clock::now());
    expect_not_ended("the thread that made it has ended");
}

TEST_F(RdmaEndings, so_are_the_first_process_and_this_one) {
    for (const Pid self : {Pid{1}, Pid{::getpid()}}) {
        read({});
        read({connection(self)});
        endings.order(key, Clock::now());
        expect_not_ended("has ended or can't be killed");
    }
}

} // namespace
} // namespace ubf::rdma
