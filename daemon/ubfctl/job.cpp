// `ubfctl job`: registers a job from Slurm's Prolog, ends it from the Epilog, and lists jobs.
#include "arguments.hpp"
#include "base/escape.hpp"
#include "base/text.hpp"
#include "base/uid_ranges.hpp"
#include "client.hpp"
#include "command.hpp"
#include "daemon/ubfctl/identity/files.hpp"
#include "held_listeners.hpp"
#include "label/label.hpp"
#include "names.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <grp.h>
#include <iostream>
#include <limits>
#include <random>
#include <set>
#include <thread>
#include <utility>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

// Slurm sets its variables for Prolog and Epilog itself; "(null)" is how it writes nothing.
std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr || std::string_view(value) == "(null)" ? "" : value;
}

std::uint32_t id_of(const std::string& text, const char* option, const char* variable) {
    if (const auto result = ubf::number<std::uint32_t>(text))
        return *result;
    throw UsageError(fmt::format("job: --{} '{}' is not a number; run this from Slurm's Prolog "
                                 "or Epilog, which have it in {}, or write it",
                                 option, text, variable));
}

struct Printed {
    int status; // of its end, as waitpid(2) has it
    std::set<std::string> lines;
};

Printed run(const std::string& command) {
    std::FILE* pipe = ::popen(command.c_str(), "re");
    if (pipe == nullptr)
        return {-1, {}};
    Printed printed{};
    std::string line;
    for (int c = std::fgetc(pipe);; c = std::fgetc(pipe)) {
        if (c != EOF && c != '\n') {
            line += static_cast<char>(c);
            continue;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        if (!line.empty())
            printed.lines.insert(std::exchange(line, {}));
        if (c == EOF)
            break;
    }
    printed.status = ::pclose(pipe);
    return printed;
}

// All nodes of a job ask at the same time, and a big job has more than slurmctld answers at once.
// So a node that got no answer asks again, after a random pause.
void pause_at_random(unsigned tries) {
    std::random_device random;
    std::uniform_int_distribution<unsigned> milliseconds(500, 4000 * tries);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds(random)));
}

// Asks slurmctld, once for the job. The command squeue prints nothing but the label. The command
// scontrol would print it among texts that users choose, such as a job's name.
std::string label_of_controller(std::uint32_t job) {
    constexpr unsigned most_tries = 3;
    const auto command =
        fmt::format("timeout 10 squeue --noheader --all --jobs={} --Format=mcslabel:256 2>&1", job);
    auto printed = run(command);
    for (unsigned tries = 1; printed.status != 0 && tries < most_tries; ++tries) {
        pause_at_random(tries);
        printed = run(command);
    }
    if (printed.status != 0)
        throw Refused(
            fmt::format("squeue failed {} times for job {}, and the job carries no label; "
                        "it said: {}",
                        most_tries, job, fmt::join(printed.lines, " | ")));
    // A task of an array is listed with the others.
    if (printed.lines.size() != 1)
        throw Refused(fmt::format("squeue says {} labels of job {}, and not one: {}; the job "
                                  "carries none",
                                  printed.lines.size(), job, fmt::join(printed.lines, " | ")));
    const auto& label = *printed.lines.begin();
    return label == "N/A" || label == "(null)" ? "" : label;
}

std::string group_name(const std::string& gid) {
    const auto* group =
        ::getgrgid(static_cast<gid_t>(id_of(gid, "label-from=group", "SLURM_JOB_GID")));
    if (group == nullptr)
        throw Refused(fmt::format("the user database knows no group {}", gid));
    return group->gr_name;
}

std::string label_from(const std::string& source, std::uint32_t job) {
    if (source == "controller")
        return label_of_controller(job);
    if (source == "user")
        return variable("SLURM_JOB_USER");
    if (source == "group")
        return group_name(variable("SLURM_JOB_GID"));
    if (source == "account")
        return variable("SLURM_JOB_ACCOUNT");
    if (source == "none")
        return "";
    throw UsageError(fmt::format("job: --label-from '{}' is not known; it is one of controller, "
                                 "user, group, account and none",
                                 source));
}

po::options_description options() {
    po::options_description options;
    const auto text = [](const char* variable_name) {
        return po::value<std::string>()->default_value(variable(variable_name));
    };
    options.add_options()                                                //
        ("job", text("SLURM_JOB_ID"))                                    //
        ("uid", text("SLURM_JOB_UID"))                                   //
        ("sluid", text("SLURM_JOB_SLUID"))                               //
        ("account", text("SLURM_JOB_ACCOUNT"))                           //
        ("partition", text("SLURM_JOB_PARTITION"))                       //
        ("label", po::value<std::string>())                              //
        ("grant", po::value<std::string>())                              //
        ("leftovers", po::value<std::string>())                          //
        ("keep", po::value<std::string>()->default_value(std::string())) //
        ("label-from", po::value<std::string>()->default_value("controller"));
    return options;
}

int begin(const Globals& globals, const po::variables_map& given) {
    // ubfd refuses a text that is too long, and says so; it need not get all of it.
    const auto text = [&](const char* name) {
        return given[name].as<std::string>().substr(0, 2 * max_label_name);
    };
    const auto job = id_of(text("job"), "job", "SLURM_JOB_ID");
    Json request{{"command", "job-begin"},
                 {"job", job},
                 {"uid", id_of(text("uid"), "uid", "SLURM_JOB_UID")},
                 {"sluid", text("sluid")},
                 {"account", text("account")},
                 {"partition", text("partition")}};
    request["label"] = given.contains("label")
                           ? text("label")
                           : label_from(text("label-from"), job).substr(0, 2 * max_label_name);
    if (given.contains("grant"))
        request["grant"] = read_file(given["grant"].as<std::string>(), 4096);
    ask(globals.socket, request);
    return 0;
}

bool has_job(const Globals& globals, Uid uid) {
    const auto reply = ask(globals.socket, {{"command", "jobs"}});
    return std::ranges::any_of(reply.at("jobs"), [&](const Json& job) {
        return job.at("uid").get<std::uint32_t>() == value(uid);
    });
}

// The listeners that the user of an ended job has outside of every job. Each process that holds one
// has a line, for it goes on without the others. A user with another job here may have begun them
// from that one, so nothing is said of them.
void report_leftovers(const Globals& globals, std::uint32_t job, Uid uid, bool end_them) {
    constexpr Uid first_user{1000};
    if (uid < first_user || has_job(globals, uid))
        return;
    Names names;
    for (const auto& held : all_held_listeners(uid)) {
        if (held.pid == Pid{} || (held.in_job && held.job != std::to_string(job)))
            continue;
        const auto* outcome = !end_them ? "it goes on" : kill_holder(held) ? "ended" : "not ended";
        std::cout << fmt::format("job {} left a listener: {} {} of {}({}), {}[{}], {}: {}\n", job,
                                 to_string(held.listener.protocol), to_string(held.listener.place),
                                 names.user(value(uid)), value(uid), escape(held.program),
                                 value(held.pid), escape(held.cgroup), outcome);
    }
}

bool is_named(std::string_view list, Uid uid) {
    while (!list.empty())
        if (Uid{uid_of(std::string(split(list, ',')))} == uid)
            return true;
    return false;
}

int end(const Globals& globals, const po::variables_map& given) {
    auto action = given.contains("leftovers") ? given["leftovers"].as<std::string>() : "";
    if (!action.empty() && action != "keep" && action != "report" && action != "kill")
        throw UsageError(fmt::format(
            "job: --leftovers '{}' is not known; it is one of keep, report and kill", action));
    const auto job = id_of(given["job"].as<std::string>(), "job", "SLURM_JOB_ID");
    const auto reply = ask(globals.socket, {{"command", "job-end"}, {"job", job}});
    const auto& settings = reply.at("leftovers");
    if (action.empty())
        action = settings.at("action").get<std::string>();
    const auto& uid = given["uid"].as<std::string>();
    if (action == "keep" || (uid.empty() && !given.contains("leftovers")))
        return 0;
    const Uid user{id_of(uid, "uid", "SLURM_JOB_UID")};
    if (!is_named(given["keep"].as<std::string>(), user) && !contains(kept_users(settings), user))
        report_leftovers(globals, job, user, action == "kill");
    return 0;
}

int list(const Globals& globals) {
    const auto reply = ask(globals.socket, {{"command", "jobs"}});
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    for (const auto& job : reply.at("jobs")) {
        const auto or_none = [&](const char* key) {
            const auto text = job.value(key, std::string());
            return text.empty() ? std::string("none") : text;
        };
        std::cout << fmt::format("{:<10} uid {:<10} label {:<24} account {:<16} partition {}\n",
                                 job.at("job").get<std::uint32_t>(),
                                 job.at("uid").get<std::uint32_t>(), or_none("label"),
                                 or_none("account"), or_none("partition"));
    }
    return 0;
}

} // namespace

int job(const Globals& globals, const Arguments& arguments) {
    const auto what = arguments.empty() ? std::string() : arguments.front();
    const Arguments rest(arguments.empty() ? arguments.begin() : arguments.begin() + 1,
                         arguments.end());
    if (what == "begin")
        return begin(globals, parse("job", rest, options()));
    if (what == "end")
        return end(globals, parse("job", rest, options()));
    if (what == "list" && rest.empty())
        return list(globals);
    throw UsageError("job takes one of begin, end and list; 'ubfctl --help' has more");
}

} // namespace ubf::ctl
