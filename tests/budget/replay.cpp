// replay SCENARIO RECORDING: runs the daemon's path of a packet, from the queue to the verdict,
// over recorded messages of a kernel. Under callgrind (perf_budget_test.py), it counts the
// instructions of the steady part. Prints a JSON line. Needs no privileges, and asks this machine
// for nothing.
//
// replay --list: prints the scenarios.
// replay --build: prints how it was built.
#include "play.hpp"

#include "counting.hpp"
#include "daemon/gate/exempt_listeners.hpp"
#include "daemon/gate/worker.hpp"
#include "daemon/jobs/job_table.hpp"
#include "daemon/log/log.hpp"
#include "daemon/owners/investigator.hpp"
#include "scenario_words.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <iostream>
#include <span>
#include <stdexcept>

namespace ubf::budget {
namespace {

// Short, so that waiting entries expire soon.
constexpr std::chrono::milliseconds deadline{40};

KeyRing test_keys() {
    Key::Bytes bytes;
    bytes.fill(7);
    return {Key(bytes), std::nullopt};
}

std::shared_ptr<const Rules> rules() {
    const std::vector<Prefix> peers{*Prefix::parse("10.77.0.0/24"), *Prefix::parse("fd77::/64")};
    auto terms = std::make_shared<const ident::Terms>(
        ident::Terms{Play::ident_port, Config::Ident{}.clock_skew, peers, test_keys(), {}});
    return std::make_shared<const Rules>(
        Rules{{Policy{}, peers}, {Policy{}, peers}, {}, {}, deadline, std::move(terms)});
}

std::vector<RecordedFlow> flows_of(const Scenario& scenario, const char* recording) {
    auto flows = read_recording(recording);
    const std::string_view where = scenario.peer == Scenario::Peer::none ? "same-node" : "across";
    std::erase_if(flows, [&](const RecordedFlow& flow) {
        return !flow.kind().starts_with(scenario.protocol) || !flow.kind().ends_with(where);
    });
    if (flows.empty())
        throw std::runtime_error("there is nothing of that kind in the recording");
    return flows;
}

// Builds the same parts as Daemon, with one queue and every denial logged.
void run(const Scenario& scenario, const char* recording) {
    const auto rules = budget::rules();
    Counters counters;
    UserCache users;
    Log log({Config::Log::Target::stderr_, {}, std::chrono::seconds(0)}, users, counters.log);
    JobTable jobs;
    Labeller labeller(jobs, {}, counters.owners);
    nft::Connection table;
    LatelySent lately_sent;
    UdpReceivers no_receivers(false, -1, {}, {});
    UdpFlows udp_flows(table, lately_sent, no_receivers, counters);
    ExemptListeners exempt_listeners(table, counters.flows);
    const OwnerRecords no_records(false, {});
    CgroupPaths cgroups;
    Investigator investigator(users, labeller, no_records, cgroups, counters.owners);
    auto queue =
        std::make_unique<Queue>(std::uint16_t{0}, Config::Queue{}.length, Mark{}, counters.gate);
    const auto sockets = ident::Socket::open(Play::ident_port, 2);
    PeerTable peers;
    const auto channel = ident::Channel::first_asker;
    ident::Asker asker(sockets[static_cast<std::size_t>(channel)], sockets.back(), channel,
                       rules->terms, deadline, peers, counters);
    LabelledRoom labelled_room;
    Tickets tickets(counters.portal);

    Play play(scenario, flows_of(scenario, recording), test_keys(), asker.fd());
    Kernel::only().play(play);
    auto end = play.end();
    Worker worker(std::move(queue), asker, rules, {table, udp_flows, exempt_listeners},
                  {counters, peers, investigator, labelled_room, log, tickets});
    end.wait();
    worker.stop();
    investigator.stop();
    const auto [calls, clock_reads] = counts();
    fmt::print("{{\"verdicts\": {}, \"calls\": {}, \"clock_reads\": {}}}\n", Play::measured, calls,
               clock_reads);
}

int main(std::span<char*> words) {
    const std::string_view word = words.size() > 1 ? words[1] : "";
    if (word == "--build") {
        fmt::print("{}\n", UBF_BUILD);
        return 0;
    }
    const bool is_whole = words.size() == 3 || word == "--list";
    if (is_whole &&
        list_or_run(word, scenarios, [&](const Scenario& scenario) { run(scenario, words[2]); }))
        return 0;
    fmt::print(stderr, "usage: replay SCENARIO RECORDING | --list | --build\n");
    return 2;
}

} // namespace
} // namespace ubf::budget

int main(int count, char** words) {
    try {
        return ubf::budget::main({words, static_cast<std::size_t>(count)});
    } catch (const std::exception& error) {
        ubf::budget::give_up(error.what());
    }
}
