// procedure SCENARIO: runs the gate's procedure, or ident's answers, on a node in memory
// (tests/unit/world.hpp). Under callgrind (perf_budget_test.py), it counts the instructions of the
// procedure alone: `replay` counts the whole path to the kernel. The fakes' few instructions count,
// too. Prints a JSON line.
//
// procedure --list: prints the scenarios.
#include "daemon/core/mailbox.hpp"
#include "daemon/gate/judge.hpp"
#include "daemon/ident/respondent.hpp"
#include "scenario_words.hpp"
#include "tests/unit/world.hpp"

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <span>
#include <stdexcept>
#include <string_view>
#include <valgrind/callgrind.h>

namespace ubf::budget {
namespace {

using namespace world;

constexpr unsigned measured = 2048;
constexpr unsigned warm_up = 256; // after these, containers have their size

// Runs `prepare` and `step` by turns, and counts the instructions of `step`.
template<typename Prepare, typename Step>
void count(Prepare prepare, Step step) {
    for (unsigned i = 0; i < warm_up + measured; ++i) {
        prepare(i);
        if (i >= warm_up)
            CALLGRIND_TOGGLE_COLLECT;
        step();
        if (i >= warm_up)
            CALLGRIND_TOGGLE_COLLECT;
    }
    fmt::print("{{\"verdicts\": {}}}\n", measured);
}

// The other end of the packet.
struct Connector {
    Address address;
    Owner owner;
    bool is_asked = false; // on another node
};

class Verdicts : World {
  public:
    Verdicts(Protocol protocol, Connector connector, Reason expected)
      : protocol_(protocol)
      , connector_(std::move(connector))
      , expected_(expected) {
        listens(alice, 1, protocol == Protocol::tcp ? TCP_LISTEN : 0);
        owners.recorded[alice] = user(alice, {project});
        owners.recorded[connector_.owner.uid] = connector_.owner;
    }

    void count() {
        budget::count([this](unsigned i) { prepare(i); }, [this] { judge_packet(); });
        check();
    }

  private:
    void prepare(unsigned i) {
        if (i > 0)
            check();
        queue.verdicts.clear();
        reporter.denials.clear();
        peers.questions.clear();
        verdicts.allowed.clear();
        sockets.connectors.clear();
        flow_ = {protocol_,
                 {connector_.address, static_cast<Port>(10'000 + i)},
                 {here, flow.destination.port}};
        if (!connector_.is_asked)
            sockets.connectors[flow_.source] = {Owner::user(connector_.owner.uid),
                                                {Cookie{2}, connector_.owner.uid, 8, 0, 0}};
        bytes_ = packet(flow_);
    }

    void judge_packet() {
        Arrival arrival;
        arrival.packet = QueuedPacket(queue, 1, 0);
        arrival.bytes = bytes_;
        arrival.interface = connector_.is_asked ? ethernet : world::loopback;
        judge_.arrive(std::move(arrival), time.now);
        judge_.begin_arrived(time.now);
        settle();
        if (connector_.is_asked) {
            peers.answer(flow_, ident::Peers::Heard::owner, connector_.owner, time.now);
            settle();
        }
    }

    void settle() {
        judge_.write(time.now);
        judge_.confirm(time.now);
    }

    void check() const {
        if (queue.verdicts != std::vector{expected_} ||
            peers.questions.size() != (connector_.is_asked ? 1 : 0) || !owners.searches.empty())
            throw std::runtime_error("the verdict is another than expected, or came another way");
    }

    const Protocol protocol_;
    const Connector connector_;
    const Reason expected_;
    Flow flow_ = flow;
    std::vector<std::uint8_t> bytes_;
    Mailbox mailbox_;
    Judge judge_{peers, rules(), sockets, verdicts, shared(), mailbox_};
};

// A peer asks for the connector of a flow that began here.
void count_answers(Uid connector, std::optional<Uid> same_as) {
    const ident::Sender asker{{{there, 1017}, {here, 1017}}, ethernet, ident::Channel::first_asker};
    Counters counters;
    FakeSockets sockets;
    FakeOwners owners;
    ident::ToldFlows told;
    Mailbox mailbox;
    ident::Answer last;
    ident::Respondent respondent{
        sockets,
        owners,
        told,
        counters,
        mailbox,
        ident::Milliseconds(900),
        {[&](const ident::Sender&, const std::vector<ident::Answer>& answers) {
             if (!answers.empty())
                 last = answers.front();
         },
         [](const Address&, const Flow&, const auto&) { return false; }, Clock::now}};
    owners.recorded[connector] = user(connector, {project});
    std::vector<ident::Question> questions;
    count(
        [&](unsigned i) {
            const Flow flow{
                Protocol::tcp, {here, static_cast<Port>(10'000 + i)}, {there, Port{8888}}};
            sockets.connectors.clear();
            sockets.connectors[flow.source] = {Owner::user(connector),
                                               {Cookie{5 + i}, connector, 9, 0, 0}};
            questions = {{ident::Nonce{1 + i}, ident::Role::connector, flow, same_as, {}}};
        },
        [&] {
            respondent.answer(questions, asker, TimePoint(std::chrono::hours(24)));
            respondent.send_ready();
            if (last.owner.uid != connector || last.nonce != questions.front().nonce)
                throw std::runtime_error("the answer is another than expected");
        });
}

void judge_same_node() {
    Verdicts(Protocol::tcp, {here, user(alice)}, Reason::same_user).count();
}
void judge_udp() {
    Verdicts(Protocol::udp, {here, user(alice)}, Reason::same_user).count();
}
void judge_across() {
    Verdicts(Protocol::tcp, {there, Owner::user(alice), true}, Reason::same_user).count();
}
void judge_group() {
    Verdicts(Protocol::tcp, {there, user(bob, {project}), true}, Reason::same_group).count();
}
void judge_denied() {
    Verdicts(Protocol::tcp, {there, user(bob), true}, Reason::different_user).count();
}
void answer_same_user() {
    count_answers(alice, alice);
}
void answer_other_user() {
    count_answers(bob, alice);
}

struct Scenario {
    std::string_view name;
    void (*run)();
};
constexpr std::array scenarios{
    Scenario{"judge-same-node", judge_same_node},
    Scenario{"judge-udp", judge_udp},
    Scenario{"judge-across", judge_across},
    Scenario{"judge-group", judge_group},
    Scenario{"judge-denied", judge_denied},
    Scenario{"answer-same-user", answer_same_user},
    Scenario{"answer-other-user", answer_other_user},
};

int main(std::span<char*> words) {
    const std::string_view word = words.size() > 1 ? words[1] : "";
    if (list_or_run(word, scenarios, [](const Scenario& scenario) { scenario.run(); }))
        return 0;
    fmt::print(stderr, "usage: procedure SCENARIO | --list\n");
    return 2;
}

} // namespace
} // namespace ubf::budget

int main(int count, char** words) {
    try {
        return ubf::budget::main({words, static_cast<std::size_t>(count)});
    } catch (const std::exception& error) {
        fmt::print(stderr, "procedure: {}\n", error.what());
        return 1;
    }
}
