// The kernel's own walls, and its sizes.
#include "base/text.hpp"
#include "daemon/ubfctl/doctor/check.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ubf::ctl::doctor {
namespace {

constexpr std::array hiding{"hidepid=1",        "hidepid=2",         "hidepid=4",
                            "hidepid=noaccess", "hidepid=invisible", "hidepid=ptraceable"};

bool hides(std::string_view options) {
    while (!options.empty())
        if (std::ranges::find(hiding, split(options, ',')) != hiding.end())
            return true;
    return false;
}

Finding hidepid(const Facts& facts) {
    const auto& node = facts.node;
    const auto* line = "proc /proc proc nosuid,nodev,noexec,hidepid=invisible 0 0";
    // A slip such as hidpid=1 fails at the next boot, and /proc stays open.
    if (node.fstab_proc && !hides(*node.fstab_proc))
        return off(fmt::format("fstab mounts /proc with '{}'", *node.fstab_proc), line,
                   "/etc/fstab");
    if (!hides(node.proc_options))
        return off(fmt::format("/proc is mounted with '{}'", node.proc_options),
                   node.fstab_proc ? "mount -o remount /proc" : line,
                   node.fstab_proc ? "a shell" : "/etc/fstab");
    return ok(node.proc_options);
}

Finding refusals(const Facts& facts) {
    if (facts.node.refusals_limited)
        return off("the kernel limits refusals to about one a second for each node",
                   "net.ipv4.icmp_ratemask = 6160", "/etc/sysctl.d/90-ubf.conf");
    return ok();
}

Finding neighbours(const Facts& facts) {
    const auto& node = facts.node;
    const auto nodes = facts.slurm.conf.nodes();
    if (!node.most_neighbours)
        return none("not in the first network namespace");
    const auto most =
        std::min(*node.most_neighbours, node.most_neighbours6.value_or(*node.most_neighbours));
    // A network beside the first one counts as well, and so do the services' machines.
    if (const auto needed = 2 * nodes + 256; nodes > 0 && most < needed)
        return off(fmt::format("{} neighbours at most, with {} nodes in slurm.conf", most, nodes),
                   fmt::format("net.ipv{}.neigh.default.gc_thresh3 = {}",
                               most == *node.most_neighbours ? 4 : 6, 2 * needed),
                   "/etc/sysctl.d/90-ubf.conf");
    return ok(fmt::format("{}", most));
}

Finding conntrack(const Facts& facts) {
    const auto& node = facts.node;
    if (!node.tracked || !node.most_tracked)
        return none("nothing is tracked here");
    if (*node.tracked > *node.most_tracked / 10 * 8)
        return off(fmt::format("{} of {} entries are taken", *node.tracked, *node.most_tracked),
                   fmt::format("net.netfilter.nf_conntrack_max = {}", 4 * *node.most_tracked),
                   "/etc/sysctl.d/90-ubf.conf");
    return ok(fmt::format("{} of {}", *node.tracked, *node.most_tracked));
}

Finding families(const Facts& facts) {
    if (!facts.node.loadable.empty())
        return off(
            fmt::format("any user's socket() loads {}", fmt::join(facts.node.loadable, ", ")),
            fmt::format("install {} /bin/false", facts.node.loadable.front()),
            "/etc/modprobe.d/ubf.conf");
    return ok();
}

Finding raw(const Facts& facts) {
    if (!facts.node.raw.empty())
        return off(
            fmt::format("every user may run {}, with raw sockets", fmt::join(facts.node.raw, ", ")),
            fmt::format("setcap -r {}", facts.node.raw.front()), "a shell");
    return ok();
}

Finding namespaces(const Facts& facts) {
    const auto& node = facts.node;
    if (!node.user_namespaces)
        return none("the kernel has none");
    if (*node.user_namespaces > 0 && !node.user_namespaces_guarded)
        return off("every user can make one, with raw sockets and nftables inside",
                   "user.max_user_namespaces = 0", "/etc/sysctl.d/50-namespaces.conf");
    return ok();
}

Finding verbs(const Facts& facts) {
    const auto& node = facts.node;
    if (node.verbs.empty())
        return none("no device of RDMA that users may open");
    if (!facts.ubf.config)
        return none("there is no good configuration");
    if (facts.ubf.config->fabric.rdma == Config::Fabric::Rdma::off)
        return off(
            fmt::format("users may open {}, and nobody watches", fmt::join(node.verbs, ", ")),
            "[fabric] rdma = \"log\"", facts.ubf.file);
    return ok(fmt::format("{}", fmt::join(node.verbs, ", ")));
}

constexpr std::array<Check, 8> all{{
    {"proc.hidepid", "users see no processes of others", "command lines show secrets and ports",
     hidepid},
    {"kernel.refusals", "a refused client learns it at once", "it waits for its own time-out",
     refusals},
    {"kernel.neighbours", "the table of neighbours has room for all nodes",
     "connections to some nodes fail", neighbours},
    {"kernel.conntrack", "connection tracking has room", "new connections are dropped", conntrack},
    {"net.other_families", "users get no sockets but those that ubfd knows",
     "SCTP, TIPC and the like have bugs, and no owner", families},
    {"net.raw", "users forge no packets", "a user sends packets of others", raw},
    {"ns.users", "users have no network of their own", "a bug of nftables makes a user root",
     namespaces},
    {"rdma.devices", "RDMA connections are watched", "verbs go around every firewall", verbs},
}};

} // namespace

std::span<const Check> node_checks() {
    return all;
}

} // namespace ubf::ctl::doctor
