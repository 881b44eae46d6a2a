// Slurm's layers.
#include "base/text.hpp"
#include "daemon/ubfctl/doctor/check.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ubf::ctl::doctor {
namespace {

// The finding of every check where Slurm is missing; nothing where it is there.
std::optional<Finding> without_slurm(const SlurmFacts& slurm) {
    if (!slurm.there)
        return none("no Slurm here");
    if (!slurm.mistake.empty())
        return none(slurm.mistake);
    return std::nullopt;
}

bool is_at_least(const SlurmFacts& slurm, unsigned major, unsigned minor) {
    return slurm.version && *slurm.version >= std::pair(major, minor);
}

// The value with another word behind it, as a line of slurm.conf.
std::string with(const SlurmConf& conf, const char* key, const std::string& words) {
    const auto value = conf.get(key);
    return fmt::format("{}={}{}{}", key, value, value.empty() ? "" : ",", words);
}

Finding config(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (!slurm.there)
        return none("no Slurm here");
    if (!slurm.mistake.empty())
        return off(slurm.mistake, fmt::format("chmod a+r {}", slurm.file), "a shell");
    if (const auto& mistake = slurm.conf.mistake())
        return off(mistake->what, "a line as slurm.conf(5) has it",
                   fmt::format("{}:{}", mistake->file, mistake->line));
    return ok(slurm.file);
}

Finding contain(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    const auto& conf = slurm.conf;
    if (to_lower(conf.get("ProctrackType")) != "proctrack/cgroup")
        return off(fmt::format("ProctrackType is '{}'", conf.get("ProctrackType")),
                   "ProctrackType=proctrack/cgroup", slurm.file);
    // X11 and RunInJob imply it (slurm.conf(5)).
    const auto flags = std::array{"contain", "x11", "runinjob"};
    if (std::ranges::none_of(flags,
                             [&](const char* flag) { return conf.lists("PrologFlags", flag); }))
        return off(fmt::format("PrologFlags is '{}'", conf.get("PrologFlags")),
                   with(conf, "PrologFlags", "Contain"), slurm.file);
    return ok(fmt::format("PrologFlags={}", conf.get("PrologFlags")));
}

Finding mcs(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    const auto plugin = to_lower(slurm.conf.get("MCSPlugin"));
    if (plugin.empty() || plugin == "mcs/none")
        return off("jobs have no label", "MCSPlugin=mcs/group", slurm.file);
    return ok(fmt::format("MCSPlugin={}", plugin));
}

Finding private_data(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    constexpr std::array needed{"accounts", "jobs", "reservations", "usage", "users"};
    const auto lacks = [&](const SlurmConf& conf) {
        Strings words;
        for (const auto* word : needed)
            if (!conf.lists("PrivateData", word) && !conf.lists("PrivateData", "all"))
                words.emplace_back(word);
        return fmt::format("{}", fmt::join(words, ","));
    };
    if (const auto words = lacks(slurm.conf); !words.empty())
        return off(fmt::format("users see of others: {}", words),
                   with(slurm.conf, "PrivateData", words), slurm.file);
    if (slurm.dbd)
        if (const auto words = lacks(*slurm.dbd); !words.empty())
            return off(fmt::format("slurmdbd tells users of others: {}", words),
                       with(*slurm.dbd, "PrivateData", words), "slurmdbd.conf");
    return ok(fmt::format("PrivateData={}", slurm.conf.get("PrivateData")));
}

Finding null_hash(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!slurm.conf.lists("CommunicationParameters", "block_null_hash"))
        return off("messages without a hash are taken",
                   with(slurm.conf, "CommunicationParameters", "block_null_hash"), slurm.file);
    return ok();
}

// The ports of slurmctld and slurmd; the first one of a range.
Port port_of(const SlurmConf& conf, const char* key, std::uint16_t usual) {
    const auto value = conf.get(key);
    const auto text = std::string_view(value).substr(0, value.find('-'));
    return Port{number<std::uint16_t>(text).value_or(usual)};
}

Finding in_addr_any(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    struct Side {
        const char* word;
        const char* port;
        std::uint16_t usual;
    };
    constexpr std::array sides{Side{"NoInAddrAny", "SlurmdPort", 6818},
                               Side{"NoCtldInAddrAny", "SlurmctldPort", 6817}};
    for (const auto& side : sides)
        if (!slurm.conf.lists("CommunicationParameters", side.word))
            return off(fmt::format("{} is not set: {} is open at every address of a node",
                                   side.word, side.port),
                       with(slurm.conf, "CommunicationParameters", side.word), slurm.file);
    for (const auto& side : sides)
        for (const auto& listener : facts.beside.listeners)
            if (listener.protocol == Protocol::tcp && listener.is_everywhere() &&
                listener.uid < Uid{1000} &&
                listener.place.port == port_of(slurm.conf, side.port, side.usual))
                return off(fmt::format("{} is open at every address of this node",
                                       to_string(listener.place)),
                           "systemctl restart slurmctld slurmd", "a shell");
    return ok();
}

// "60001-60100"
std::optional<std::pair<std::uint64_t, std::uint64_t>> range_of(std::string_view text) {
    const auto first = number<std::uint16_t>(split(text, '-'));
    const auto last = number<std::uint16_t>(text);
    if (!first || !last || *first > *last)
        return std::nullopt;
    return std::pair<std::uint64_t, std::uint64_t>(*first, *last);
}

bool is_reserved(std::string_view list, std::pair<std::uint64_t, std::uint64_t> range) {
    while (!list.empty()) {
        auto item = trim(split(list, ','));
        const auto one = number<std::uint16_t>(item);
        const auto found = one ? std::optional(std::pair<std::uint64_t, std::uint64_t>(*one, *one))
                               : range_of(item);
        if (found && found->first <= range.first && range.second <= found->second)
            return true;
    }
    return false;
}

Finding srun_ports(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    const auto value = slurm.conf.get("SrunPortRange");
    const auto range = range_of(value);
    if (!range)
        return off("srun listens at any port, so no rule can name it", "SrunPortRange=61001-61500",
                   slurm.file);
    const auto& ephemeral = facts.node.ephemeral;
    if (ephemeral && range->first <= ephemeral->last && ephemeral->first <= range->second &&
        !is_reserved(facts.node.reserved, *range))
        return off(fmt::format("the kernel gives ports of {} to users' sockets as well "
                               "(net.ipv4.ip_local_port_range is {} to {})",
                               value, ephemeral->first, ephemeral->last),
                   fmt::format("net.ipv4.ip_local_reserved_ports = {}{}{}", facts.node.reserved,
                               facts.node.reserved.empty() ? "" : ",", value),
                   "/etc/sysctl.d/50-srun.conf");
    return ok(fmt::format("SrunPortRange={}", value));
}

Finding rate_limit(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!is_at_least(slurm, 23, 2))
        return none("Slurm has it from 23.02 on");
    if (!slurm.conf.lists("SlurmctldParameters", "rl_enable"))
        return off("one user's requests can fill slurmctld",
                   with(slurm.conf, "SlurmctldParameters", "rl_enable"), slurm.file);
    return ok();
}

Finding tls(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!is_at_least(slurm, 25, 5))
        return none("Slurm has it from 25.05 on");
    if (to_lower(slurm.conf.get("TLSType")) != "tls/s2n")
        return off("Slurm's messages are in clear text", "TLSType=tls/s2n", slurm.file);
    if (!slurm.ca_readable)
        return off("users' commands can't read the certificate of the CA",
                   "chmod a+r /etc/slurm/ca_cert.pem", "a shell");
    return ok();
}

// A pattern takes one more program; a single program must call ours.
Finding without_hook(const SlurmFacts& slurm, const char* key, const char* name) {
    const auto value = slurm.conf.get(key);
    if (value.empty())
        return off("there is none", fmt::format("{}=/etc/slurm/{}.d/*", key, name), slurm.file);
    const auto ours = fmt::format("/usr/libexec/ubf/slurm/{}", name);
    const auto what = fmt::format("{}={} has no program that calls ubfctl", key, value);
    const auto first = value.substr(0, value.find(','));
    const auto folder = first.substr(0, first.rfind('/'));
    if (first.ends_with("/*") && folder.find('*') == std::string::npos)
        return off(what, fmt::format("ln -s {} {}/50-ubf", ours, folder), "a shell");
    return off(what, ours, first);
}

Finding hook(const SlurmFacts& slurm, const std::vector<Hook>& hooks, const char* key,
             const char* name) {
    if (slurm.spank)
        return ok("ubf.so, in plugstack.conf");
    const auto found = std::ranges::find(hooks, true, &Hook::ours);
    if (found == hooks.end())
        return without_hook(slurm, key, name);
    if (!found->runs)
        return off(fmt::format("{} may not be executed", found->file),
                   fmt::format("chmod a+x {}", found->file), "a shell");
    return ok(found->file);
}

Finding prolog(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!slurm.slurmd)
        return none("no slurmd here");
    return hook(slurm, slurm.prologs, "Prolog", "prolog");
}

Finding epilog(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!slurm.slurmd)
        return none("no slurmd here");
    return hook(slurm, slurm.epilogs, "Epilog", "epilog");
}

Finding registered(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!slurm.running)
        return none("squeue did not answer");
    if (!facts.ubf.jobs)
        return none("ubfd did not answer");
    Strings lost;
    for (const auto& job : *slurm.running)
        if (std::ranges::find(*facts.ubf.jobs, job) == facts.ubf.jobs->end())
            lost.push_back(job);
    if (!lost.empty())
        return off(fmt::format("jobs that ubfd does not know: {}", fmt::join(lost, ", ")),
                   fmt::format("ubfctl job begin --job {} --uid UID", lost.front()), "a shell");
    return ok(fmt::format("{} of {}", slurm.running->size(), facts.ubf.jobs->size()));
}

Finding labels(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!facts.ubf.config)
        return none("there is no good configuration");
    if (!facts.ubf.config->labels.slurm)
        return off("ubfd reads no labels of jobs", "[labels] slurm = true", facts.ubf.file);
    return ok();
}

Finding private_tmp(const Facts& facts) {
    const auto& slurm = facts.slurm;
    if (auto missing = without_slurm(slurm))
        return *missing;
    if (!slurm.slurmd)
        return none("no slurmd here");
    // Its name is namespace/tmpfs from 25.05 on.
    const auto old = to_lower(slurm.conf.get("JobContainerType"));
    const auto fresh = to_lower(slurm.conf.get("NamespaceType"));
    if (old != "job_container/tmpfs" && fresh != "namespace/tmpfs")
        return off("jobs share /tmp and /dev/shm, and the sockets in them",
                   "JobContainerType=job_container/tmpfs", slurm.file);
    if (!slurm.containers)
        return off("job_container.conf can't be read", "AutoBasePath=true BasePath=/var/lib/jobs",
                   "job_container.conf");
    // Without Dirs, both are private.
    const auto dirs = slurm.containers->get("Dirs");
    for (const auto* dir : {"/tmp", "/dev/shm"})
        if (!dirs.empty() && !slurm.containers->lists("Dirs", dir))
            return off(fmt::format("jobs share {}", dir), fmt::format("Dirs={},{}", dirs, dir),
                       "job_container.conf");
    return ok("abstract sockets stay shared");
}

constexpr std::array<Check, 14> all{{
    {"slurm.config", "Slurm's configuration can be read", "no layer of Slurm's is checked", config},
    {"slurm.contain", "every process of a job is in its control group, sessions too",
     "a process can leave its job, and carries no label", contain},
    {"slurm.mcs", "jobs carry labels, and users see those of their label alone",
     "there is no label to decide by", mcs},
    {"slurm.labels", "ubfd decides by the labels of jobs", "labels count for nothing", labels},
    {"slurm.prolog", "ubfd knows a job when it begins", "jobs have no label", prolog},
    {"slurm.epilog", "a label ends with its job; programs left behind are reported",
     "a label lasts until the job's control group is gone", epilog},
    {"slurm.registered", "each job that runs here is registered", "a job has no label", registered},
    {"slurm.privatedata", "users do not see jobs, accounts and usage of others",
     "squeue and sacct show everybody's names and command lines", private_data},
    {"slurm.null_hash", "no message of Slurm's is taken without a hash",
     "a message can be altered on its way (CVE-2022-29500 and its like)", null_hash},
    {"slurm.inaddr_any", "Slurm's daemons listen on the cluster's network alone",
     "users reach them on every network of a node", in_addr_any},
    {"slurm.srunports", "srun's ports are known, and users' sockets do not get them by chance",
     "srun is gated by mistake, or its exemption opens users' ports", srun_ports},
    {"slurm.rl_enable", "slurmctld limits each user's requests", "one user can slow all others",
     rate_limit},
    {"slurm.tls", "Slurm's messages are encrypted", "the network sees scripts and environments",
     tls},
    {"tmp.private", "each job has a /tmp and a /dev/shm of its own",
     "a Unix socket in /tmp goes around every firewall", private_tmp},
}};

} // namespace

std::span<const Check> slurm_checks() {
    return all;
}

} // namespace ubf::ctl::doctor
