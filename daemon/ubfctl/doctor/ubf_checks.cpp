// ubf's own parts.
#include "daemon/ubfctl/doctor/check.hpp"
#include "daemon/ubfctl/fields.hpp"

#include <array>
#include <fmt/format.h>

namespace ubf::ctl::doctor {
namespace {

Finding config(const Facts& facts) {
    const auto& ubf = facts.ubf;
    if (!ubf.config)
        return off(ubf.mistake, fmt::format("ubfctl check-config {}", ubf.file), "a shell");
    return ok(ubf.file);
}

Finding key(const Facts& facts) {
    const auto& ubf = facts.ubf;
    if (!ubf.key.open)
        return none("only root can tell");
    if (!ubf.key.mistake.empty() && ubf.key.counts)
        return off(ubf.key.mistake, fmt::format("ubfctl keygen {}", ubf.key.file), "a shell");
    if (*ubf.key.open)
        return off("users can read the key, and answer for any node",
                   fmt::format("chown root:root {0} && chmod 600 {0}", ubf.key.file), "a shell");
    return ubf.key.counts ? ok(ubf.key.file) : none("certificates are required: no key is read");
}

Finding daemon(const Facts& facts) {
    if (!facts.ubf.status)
        return off("ubfd does not answer", "systemctl enable --now ubfd", "a shell");
    return ok(word(*facts.ubf.status, "/version"));
}

// The file that ubfd runs with may be older than the one on disk.
Finding loaded(const Facts& facts) {
    const auto& status = facts.ubf.status;
    if (!status)
        return none("ubfd does not answer");
    if (!status->value(Json::json_pointer("/configuration/holds"), true))
        return off(fmt::format("ubfd runs with the last good configuration: {}",
                               word(*status, "/configuration/mistake")),
                   "ubfctl check-config && ubfctl reload", "a shell");
    return ok();
}

Finding ruleset(const Facts& facts) {
    if (!facts.ubf.table)
        return none("only root can tell");
    if (!*facts.ubf.table)
        return off("there is no table inet ubf, so this node is open", "ubfctl ruleset --install",
                   "a shell");
    return ok();
}

Finding queues(const Facts& facts) {
    const auto& status = facts.ubf.status;
    if (!status)
        return facts.ubf.queues.empty() || facts.ubf.runs
                   ? none("ubfd does not answer")
                   : off("another program reads netfilter queues",
                         "lsof /proc/net/netfilter/nfnetlink_queue", "a shell");
    if (!status->contains("queues"))
        return none("this ubfd does not tell");
    for (const auto& queue : status->at("queues"))
        if (!facts.ubf.queues.contains(static_cast<unsigned>(number(queue, "/number"))))
            return off(fmt::format("queue {} has no reader", number(queue, "/number")),
                       "systemctl restart ubfd", "a shell");
    return ok(fmt::format("{}", facts.ubf.queues.size()));
}

Finding enforce(const Facts& facts) {
    const auto& config = facts.ubf.config;
    if (!config)
        return none("there is no good configuration");
    if (config->observed.any())
        return off("ubfd only observes, at least in part", "[policy] mode = \"enforce\"",
                   facts.ubf.file);
    return ok();
}

Finding fail_closed(const Facts& facts) {
    const auto& config = facts.ubf.config;
    if (!config)
        return none("there is no good configuration");
    if (config->ruleset.allow_without_daemon)
        return off("new flows pass while no ubfd runs", "[ruleset] without_daemon = \"refuse\"",
                   facts.ubf.file);
    return ok();
}

Finding peers(const Facts& facts) {
    const auto& ubf = facts.ubf;
    if (!ubf.config)
        return none("there is no good configuration");
    for (const auto& [address, interface] : facts.beside.addresses)
        if (ubf.config->scope.interfaces.watches(interface) &&
            !contains(ubf.config->peers.ranges, address) &&
            !contains(ubf.config->fabric_peers(), address))
            return off(
                fmt::format("{} ({}) of this node is in no range", to_string(address), interface),
                fmt::format("[peers] ranges: add \"{}\" or its network", to_string(address)),
                ubf.file);
    return ok();
}

// A line about what peers sent, by a counter of rejected datagrams.
Finding of_peers(const Facts& facts, const char* counter, const char* seen, const char* write) {
    const auto& status = facts.ubf.status;
    if (!status)
        return none("ubfd does not answer");
    const auto count = number(*status, fmt::format("/ident/rejected/{}", counter));
    if (count > 0)
        return off(fmt::format("{} {} since ubfd started", count, seen), write, "a shell");
    return ok();
}

Finding versions(const Facts& facts) {
    return of_peers(facts, "other-version", "datagrams of another version of ident",
                    "ubfctl log --since today, then upgrade the peers that it names");
}

Finding keys(const Facts& facts) {
    return of_peers(facts, "wrong-key", "datagrams that no key of this node signed",
                    "ubfctl status on both nodes: the ids of their keys must agree");
}

Finding clocks(const Facts& facts) {
    const auto& status = facts.ubf.status;
    if (!status || !facts.ubf.config)
        return none("ubfd does not answer");
    if (!status->contains("peers"))
        return none("this ubfd does not tell");
    const auto most = facts.ubf.config->ident.clock_skew.count();
    for (const auto& peer : status->at("peers"))
        if (const auto ahead = peer.value("clock_ahead_ms", std::int64_t{0});
            ahead > most || ahead < -most)
            return off(
                fmt::format("{} is {} s ahead of this node", word(peer, "/address"), ahead / 1000),
                "systemctl enable --now chrony", "a shell, on both nodes");
    return ok();
}

Finding silent(const Facts& facts) {
    const auto& status = facts.ubf.status;
    if (!status)
        return none("ubfd does not answer");
    if (const auto count = number(*status, "/peers_silent"); count > 0)
        return off(fmt::format("{} of {} peers", count, number(*status, "/peers_asked")),
                   "ubfctl peers --silent, then start ubfd there and open the port", "a shell");
    return ok();
}

Finding units(const Facts& facts) {
    if (!facts.ubf.systemd)
        return none("no systemd here");
    for (const auto* unit : {"ubf-ruleset.service", "ubfd.service"})
        if (!facts.ubf.enabled.contains(unit))
            return off(fmt::format("{} does not start at a boot", unit),
                       fmt::format("systemctl enable {}", unit), "a shell");
    return ok();
}

Finding selinux(const Facts& facts) {
    if (!facts.ubf.selinux_enforcing)
        return none("SELinux does not enforce here");
    if (facts.ubf.domain != "ubfd_t")
        return off(fmt::format("ubfd's domain is '{}'", facts.ubf.domain),
                   "semodule -i ubf.pp && restorecon -v $(command -v ubfd) && systemctl restart "
                   "ubfd",
                   "a shell");
    return ok();
}

constexpr std::array<Check, 15> all{{
    {"ubf.config", "the configuration is good", "ubfd keeps the last good one, or none", config},
    {"ubf.key", "only nodes of this cluster answer questions", "a user may answer for a node", key},
    {"ubf.daemon", "ubfd decides", "every new connection is refused", daemon},
    {"ubf.loaded", "ubfd runs with the file that is on disk", "a change has no effect", loaded},
    {"ubf.ruleset", "the kernel hands new flows to ubfd", "every flow passes", ruleset},
    {"ubf.queues", "ubfd alone reads the queues of packets", "packets wait, and are dropped",
     queues},
    {"ubf.enforce", "refusals are real", "refusals are only logged", enforce},
    {"ubf.fail_closed", "nothing new passes while ubfd is away", "a crash of ubfd opens the node",
     fail_closed},
    {"ubf.units", "rules are there before the network, at each boot", "a boot leaves the node open",
     units},
    {"ubf.selinux", "SELinux confines ubfd", "a hole in ubfd is a hole in the node", selinux},
    {"peers.ranges", "each address of this node is a peer's", "flows to it are refused", peers},
    {"peers.versions", "all nodes speak one version", "flows between versions are refused",
     versions},
    {"peers.keys", "all nodes have one key", "flows between keys are refused", keys},
    {"peers.clocks", "clocks agree", "the kernel recognises no connection between such nodes",
     clocks},
    {"peers.answer", "every peer answers", "flows from silent peers are refused", silent},
}};

} // namespace

std::span<const Check> ubf_checks() {
    return all;
}

} // namespace ubf::ctl::doctor
