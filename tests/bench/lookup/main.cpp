// lookup UID: measures the search for a socket's owner, by each method of ubfd. UID is a user of
// this node. Needs root. Prints one JSON line.
//
// cold: all caches are empty, and this socket was not asked about before. warm: the same question
// was asked before, or one about another socket of the same program.
#include "daemon/owners/investigator.hpp"

#include "base/text.hpp"
#include "daemon/jobs/job_table.hpp"
#include "lookup/program.hpp"
#include "storm/socket.hpp"
#include "storm/times.hpp"

#include <fmt/format.h>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

namespace {

using namespace ubf;
using bench::Clock;
using bench::Program;
using bench::sockets;

constexpr std::size_t fewest = 3; // samples of one kind of lookup
constexpr std::size_t most = 1000;
constexpr std::chrono::milliseconds time_for_each{200}; // for a kind, after the fewest samples
constexpr std::chrono::minutes deadline{5};             // for one lookup; a packet has less
constexpr Uid nobodys{65533};                           // has a socket, but no process
constexpr std::uint32_t loopback = 1;                   // its index

// The parts of ubfd that find an owner.
struct Finder {
    Finder(const Config::Labels& sources, const OwnerRecords& records)
      : labeller(jobs, sources, counters.owners)
      , investigator(users, labeller, records, cgroups, counters.owners) {}

    Owner find(const SocketOwner& socket, ident::Role role) {
        return investigator.find_now(socket, role, Clock::now() + deadline);
    }

    Counters counters;
    UserCache users;
    JobTable jobs;
    Labeller labeller;
    CgroupPaths cgroups;
    Investigator investigator;
    OwnerLookup lookup;
};

// One kind of lookup. `number` selects one of the program's sockets.
struct Kind {
    using Act = std::function<void(Finder&, std::size_t number)>;

    std::string what;
    Act act;
    Act before{};                   // runs before each warm lookup, unmeasured
    std::optional<Method> method{}; // if the counters don't tell it
    bool cold = true;               // whether a cold lookup exists
    Config::Labels labels{};
};

// The kernel's records of owners, and an empty set.
struct Records {
    const CgroupPaths cgroups;
    const OwnerRecords kernels{true, cgroups.roots()};
    const OwnerRecords none{false, {}};
};

SocketOwner found(OwnerLookup::Found socket) {
    if (!socket)
        throw std::runtime_error("a socket was not found");
    return *std::move(socket);
}

// Tells which method was counted since the construction.
class Counted {
  public:
    explicit Counted(const Counters& counters)
      : counters_(counters)
      , before_(read()) {}

    std::optional<Method> method() const {
        const auto now = read();
        for (std::size_t i = 0; i < now.size(); ++i)
            if (now[i] > before_[i])
                return static_cast<Method>(i);
        return std::nullopt;
    }

  private:
    std::vector<std::uint64_t> read() const {
        std::vector<std::uint64_t> counts;
        counters_.owners.methods.each(
            [&](Method, std::uint64_t count) { counts.push_back(count); });
        return counts;
    }

    const Counters& counters_;
    std::vector<std::uint64_t> before_;
};

nlohmann::ordered_json measure(const Kind& kind, bool warm, const OwnerRecords& records) {
    bench::Times times;
    std::optional<Method> method = kind.method;
    std::optional<Finder> finder;
    const auto end = Clock::now() + time_for_each;
    for (std::size_t i = 0; i < fewest || (i < most && Clock::now() < end); ++i) {
        const bool first = !finder;
        if (first || !warm)
            finder.emplace(kind.labels, records);
        if (warm && first)
            kind.act(*finder, i);
        if (warm && kind.before)
            kind.before(*finder, i);
        const Counted counted(finder->counters);
        const auto begin = Clock::now();
        kind.act(*finder, i);
        times.add(Clock::now() - begin);
        if (!kind.method)
            method = counted.method();
    }
    return {{"what", kind.what},
            {"state", warm ? "warm" : "cold"},
            {"method", method ? to_string(*method) : "none"},
            {"count", times.size()},
            {"p50_us", times.quantile(0.50)},
            {"p99_us", times.quantile(0.99)}};
}

std::vector<Kind> kinds(const Program& program, const Endpoint& orphan, Uid uid) {
    // Comes from a port without a connection, like a SYN without a verdict yet.
    const auto to = [](const Endpoint& listener) {
        return Flow{Protocol::tcp, {listener.address, 1}, listener};
    };
    const auto receiver = [=](Finder& finder, std::size_t number) {
        return found(finder.lookup.receiver(to(program.listeners[number % sockets]), loopback));
    };
    const auto sender = [=](Finder& finder, std::size_t number) {
        return found(finder.lookup.sender(
            {Protocol::tcp, program.connectors[number % sockets], program.listeners.front()},
            loopback));
    };
    const auto find = [](auto socket, ident::Role role) {
        return
            [=](Finder& finder, std::size_t number) { finder.find(socket(finder, number), role); };
    };
    const auto same = [](auto socket) {
        return [=](Finder& finder, std::size_t) { return socket(finder, 0); };
    };
    const auto orphans = [=](Finder& finder, std::size_t) {
        return found(finder.lookup.receiver(to(orphan), loopback));
    };
    const Kind::Act forget = [=](Finder& finder, std::size_t) { finder.investigator.forget(uid); };
    const Kind::Act forget_all = [](Finder& finder, std::size_t) {
        finder.investigator.forget_all();
    };
    // Any socket will do, since the lookup makes its program a recent one.
    const Kind::Act see = find(same(receiver), ident::Role::listener);
    Config::Labels of_jobs;
    of_jobs.slurm = true;
    return {
        {"a listener's uid", receiver, {}, Method::socket},
        {"a connector's uid", sender, {}, Method::socket},
        {"a listener that is known", find(same(receiver), ident::Role::listener), see, {}, false},
        {"a listener", find(receiver, ident::Role::listener), forget},
        {"a connector of a known program", find(sender, ident::Role::connector), see, {}, false},
        {"a connector and its job's label",
         find(sender, ident::Role::connector),
         {},
         {},
         true,
         of_jobs},
        {"a socket that another user holds", find(orphans, ident::Role::listener), forget_all},
        {"a user's groups",
         [=](Finder& finder, std::size_t) { finder.users.find(uid, std::chrono::seconds(10)); },
         {},
         Method::user_database},
    };
}

// Whether this method searches for a process.
bool is_search(const nlohmann::ordered_json& lookup) {
    const auto& method = lookup.at("method");
    for (const auto search : {Method::recent, Method::uid_processes, Method::all_processes})
        if (method == to_string(search))
            return true;
    return false;
}

void run(Uid uid) {
    const Records records; // must exist before the sockets, to record them
    const auto program = bench::start_program(uid);
    const auto orphan = bench::open_server_of(nobodys);

    auto results = nlohmann::ordered_json::array();
    for (const auto& kind : kinds(program, bench::local_end(orphan), uid)) {
        for (const bool warm : {true, false}) {
            if (!warm && !kind.cold)
                continue;
            auto searched = measure(kind, warm, records.none);
            searched["fallback"] = records.kernels.in_use() && is_search(searched);
            if (searched["fallback"]) {
                auto recorded = measure(kind, warm, records.kernels);
                recorded["fallback"] = false;
                results.push_back(std::move(recorded));
            }
            results.push_back(std::move(searched));
        }
    }
    bench::end_program(program);
    auto methods = nlohmann::ordered_json::array();
    Counts<Method>{}.each(
        [&](Method method, std::uint64_t) { methods.push_back(to_string(method)); });
    std::cout << nlohmann::ordered_json{{"lookups", results}, {"methods", methods}}.dump()
              << std::endl;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const auto uid = argc == 2 ? number<std::uint32_t>(argv[1]) : std::nullopt;
        if (!uid)
            throw std::invalid_argument("usage: lookup UID");
        run(Uid{*uid});
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "lookup: " << error.what() << '\n';
        return 1;
    }
}
