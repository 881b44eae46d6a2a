// `ubfctl listeners`: who listens on this node. Without root, one's own.
#include "arguments.hpp"
#include "base/escape.hpp"
#include "base/uid_ranges.hpp"
#include "command.hpp"
#include "config/config.hpp"
#include "config/scope.hpp"
#include "held_listeners.hpp"
#include "names.hpp"
#include "nft/ruleset.hpp"
#include "screen.hpp"
#include "table.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <map>
#include <set>
#include <unistd.h>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::string text(const Json& row, const char* key) {
    const auto found = row.find(key);
    return found == row.end()   ? std::string()
           : found->is_string() ? found->get<std::string>()
                                : found->dump();
}

constexpr Uid first_user{1000};

constexpr std::array<Column, 9> all{{
    {"address", "protocol, address and port",
     [](const Json& row) { return text(row, "protocol") + " " + text(row, "address"); }},
    {"user", "the socket's user", [](const Json& row) { return text(row, "user"); }},
    {"group", "the group that the program is open to",
     [](const Json& row) { return text(row, "group"); }},
    {"job", "the Slurm job of the program", [](const Json& row) { return text(row, "job"); }},
    {"label", "of that job", [](const Json& row) { return text(row, "label"); }},
    {"program", "that holds the socket", [](const Json& row) { return text(row, "program"); }},
    {"pid", "of the program", [](const Json& row) { return text(row, "pid"); }, true},
    {"since_s", "seconds since the program began",
     [](const Json& row) { return text(row, "since_s"); }, true},
    {"flows", "connections that came to it, and are open",
     [](const Json& row) { return text(row, "flows"); }, true},
}};

struct KnownJobs {
    std::map<std::string, std::string> labels; // by the job's number
    std::set<Uid> users;
    std::vector<UidRange> kept; // may listen without a job

    // Whether the user may listen here: in a job, as a system user, or by the configuration.
    bool accounts_for(Uid uid) const {
        return uid < first_user || users.contains(uid) || contains(kept, uid);
    }
};

// Throws Unreachable if ubfd does not answer.
KnownJobs known_jobs(const Globals& globals) {
    KnownJobs known;
    const auto reply = ask(globals.socket, {{"command", "jobs"}});
    known.kept = kept_users(reply.at("leftovers"));
    for (const auto& job : reply.at("jobs")) {
        known.labels[job.at("job").dump()] = job.value("label", std::string());
        known.users.insert(Uid{job.at("uid").get<std::uint32_t>()});
    }
    return known;
}

// Seconds since the boot.
double uptime() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<double>(now.tv_sec);
}

Json to_json(const HeldListener& held, const KnownJobs& jobs, Names& names) {
    const auto& listener = held.listener;
    Json row{{"protocol", to_string(listener.protocol)},
             {"address", to_string(listener.place)},
             {"uid", value(listener.uid)},
             {"user", names.user(value(listener.uid))},
             {"flows", listener.flows}};
    if (held.pid == Pid{})
        return row;
    row["group"] = names.group(value(held.gid));
    row["pid"] = value(held.pid);
    row["program"] = escape(held.program);
    row["cgroup"] = escape(held.cgroup);
    const auto began =
        static_cast<double>(held.started) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    row["since_s"] = static_cast<std::int64_t>(std::max(0.0, uptime() - began));
    if (!held.in_job)
        return row;
    row["job"] = held.job;
    if (const auto label = jobs.labels.find(held.job);
        label != jobs.labels.end() && !label->second.empty())
        row["label"] = label->second;
    return row;
}

// Root may ask ubfd for jobs; it need not run, unless the list depends on it.
KnownJobs jobs_for(const Globals& globals, bool needed) {
    try {
        return ::geteuid() == 0 || needed ? known_jobs(globals) : KnownJobs();
    } catch (const Unreachable&) {
        if (needed)
            throw;
        return {};
    }
}

// The scope of the file. A user may not be able to read it; then the default counts.
Scope watched_by(const po::variable_value& file) {
    Config config;
    try {
        config = load_config(file.as<std::string>(), ubf::Names::pass_over);
    } catch (const std::exception&) {
        if (!file.defaulted())
            throw;
    }
    return scope_of(config, nft::read_environment(config).unprivileged_port_start);
}

// On some interface at least.
bool is_watched(const Scope& scope, const Listening& listener) {
    const auto by = [&](bool is_fabric) {
        return scope.of(listener.protocol, listener.place.port, {}, is_fabric) ==
               Scope::Why::watched;
    };
    return by(false) || by(true);
}

} // namespace

int listeners(const Globals& globals, const Arguments& arguments) {
    po::options_description options;
    options.add_options()                                                   //
        ("user", po::value<std::string>())("job", po::value<std::string>()) //
        ("without-job", po::bool_switch())                                  //
        ("config", po::value<std::string>()->default_value(default_config));
    const auto given = parse("listeners", arguments, options);
    std::optional<Uid> uid;
    if (given.contains("user"))
        uid = Uid{uid_of(given["user"].as<std::string>())};
    if (::geteuid() != 0 && uid && *uid != Uid{::geteuid()})
        throw UsageError("listeners: only root sees those of other users");
    if (::geteuid() != 0)
        uid = Uid{::geteuid()};
    const bool without_job = given["without-job"].as<bool>();
    const auto scope = watched_by(given["config"]);
    const auto jobs = jobs_for(globals, without_job);
    Names names;
    std::vector<Json> rows;
    for (const auto& held : held_listeners(uid)) {
        if (!is_watched(scope, held.listener) ||
            (given.contains("job") && held.job != given["job"].as<std::string>()) ||
            (without_job && jobs.accounts_for(held.listener.uid)))
            continue;
        rows.push_back(to_json(held, jobs, names));
    }
    if (globals.json)
        return show(globals, {Json(rows).dump(2) + '\n'});
    return show(globals, {to_table(all, rows, {true, Paint(globals.colours), {}})});
}

} // namespace ubf::ctl
