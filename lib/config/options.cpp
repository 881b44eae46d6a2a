#include "config/options.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace ubf::config {
namespace {

// Adds a range to a list of disjoint ones.
template<typename T>
void add_disjoint(std::vector<Range<T>>& list, const Range<T>& range, const Value& value) {
    for (const auto& other : list)
        if (other.overlaps(range))
            value.fail(fmt::format(
                "{}-{} overlaps {}-{}; write each only once",
                static_cast<std::uint32_t>(range.first), static_cast<std::uint32_t>(range.last),
                static_cast<std::uint32_t>(other.first), static_cast<std::uint32_t>(other.last)));
    list.push_back(range);
    std::ranges::sort(list);
}

// One user may be exempt at several places, but at each of them only once.
void add_exemption(std::vector<Exemption>& list, const Value& value) {
    const auto fresh = value.exemption();
    if (!fresh)
        return;
    for (const auto& other : list)
        if (other.users.overlaps(fresh->users) &&
            (!other.at || !fresh->at || other.at->overlaps(*fresh->at)))
            value.fail(fmt::format("{}-{} overlaps {}-{}, at the same addresses; write each only "
                                   "once",
                                   ubf::value(fresh->users.first), ubf::value(fresh->users.last),
                                   ubf::value(other.users.first), ubf::value(other.users.last)));
    list.push_back(*fresh);
    std::ranges::stable_sort(list, {}, &Exemption::users);
}

void set_kernel(Config& config, const Value& value) {
    auto& list = config.policy.exempt_kernel;
    list.clear();
    if (!value.is_array()) {
        if (value.one_of({"deny", "allow"}) == 1)
            list.emplace_back();
        return;
    }
    for (const auto& item : value.array())
        list.push_back(item.kernel_exemption());
}

void add_exempt_port(std::vector<ProtocolPorts>& list, const Value& value) {
    const auto ports = value.protocol_ports();
    for (const auto& other : list)
        if (other.ports.overlaps(ports.ports) &&
            ((other.tcp && ports.tcp) || (other.udp && ports.udp)))
            value.fail(fmt::format("{}-{} overlaps {}-{}; write each only once", ports.ports.first,
                                   ports.ports.last, other.ports.first, other.ports.last));
    list.push_back(ports);
}

void add_protocol(std::vector<std::uint8_t>& list, const Value& value) {
    const auto number = value.ip_protocol();
    if (std::ranges::find(list, number) != list.end())
        value.fail(fmt::format("protocol {} stands here twice; write it once", number));
    list.push_back(number);
    std::ranges::sort(list);
}

void add_peer(std::vector<Prefix>& list, const Value& value) {
    const auto prefix = value.prefix();
    for (const auto& other : list)
        if (other.overlaps(prefix))
            value.fail(fmt::format("{} overlaps {}; write each address only once",
                                   to_string(prefix), to_string(other)));
    list.push_back(prefix);
}

void set_fabric_reasons(Config& config, const Value& value) {
    auto& fabric = config.fabric;
    bool* const reasons[] = {&fabric.same_user, &fabric.same_group, &fabric.same_label};
    for (bool* reason : reasons)
        *reason = false;
    for (const auto& item : value.array())
        *reasons[item.one_of({"same-user", "same-group", "same-label"})] = true;
}

constexpr std::int64_t most_queued = 65535;    // more is not kept by every kernel
constexpr std::int64_t most_deadline_ms = 999; // a SYN is sent again after a second

constexpr Option all[] = {
    {"queue", "first", "0", "number of the first netfilter queue",
     [](Config& c, const Value& v) {
         c.queue.first = static_cast<std::uint16_t>(v.integer(0, 65535));
     }},
    {"queue", "count", "0", "how many queues, each with a thread; 0: one a CPU, four at most",
     [](Config& c, const Value& v) {
         c.queue.count = static_cast<std::uint16_t>(v.integer(0, 64));
     }},
    {"queue", "length", "16384", "packets that may wait in each queue; what is beyond is dropped",
     [](Config& c, const Value& v) {
         c.queue.length = static_cast<std::uint32_t>(v.integer(16, most_queued));
     }},

    {"scope", "interfaces", "[]", "interfaces to watch; []: all, loopback included",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array()) {
             auto name = item.interface();
             if (std::ranges::find(c.scope.interfaces, name) != c.scope.interfaces.end())
                 item.fail(fmt::format("'{}' stands here twice; write it once", name));
             c.scope.interfaces.push_back(std::move(name));
         }
     }},
    {"scope", "ports", "[]",
     "listening ports to watch, like [\"1024-65535\"]; []: from "
     "net.ipv4.ip_unprivileged_port_start up",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_disjoint(c.scope.ports, item.port_range(), item);
     }},
    {"scope", "exempt_ports", "[]", "ports that pass unwatched, like [\"tcp/8443\", \"udp/5353\"]",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_exempt_port(c.scope.exempt_ports, item);
     }},
    {"scope", "protocols", "[]",
     "protocols that pass unwatched beside ICMP and IGMP, like [\"esp\", \"ah\", 112]",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_protocol(c.scope.protocols, item);
     }},

    {"peers", "ranges", "[]", "addresses of the nodes that run ubfd, like [\"10.0.0.0/16\"]",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_peer(c.peers.ranges, item);
     }},

    {"policy", "same_user", "true", "two programs of one user may talk",
     [](Config& c, const Value& v) { c.policy.same_user = v.boolean(); }},
    {"policy", "same_group", "true",
     "a listener's effective group lets in the members of that group",
     [](Config& c, const Value& v) { c.policy.same_group = v.boolean(); }},
    {"policy", "require_label", "false",
     "two programs whose labels differ may not talk, same user or not",
     [](Config& c, const Value& v) { c.policy.require_label = v.boolean(); }},
    {"policy", "kernel", "\"allow\"",
     "sockets of the kernel itself, like NFS: \"allow\", \"deny\", or the listeners' ports and the "
     "kernel's addresses, like [\"tcp/2049@10.0.0.0/28\"]",
     set_kernel},
    {"policy", "outside", "\"deny\"",
     "what addresses beyond the peers' ranges start: \"deny\" or \"allow\"",
     [](Config& c, const Value& v) {
         c.policy.outside_allowed = v.one_of({"deny", "allow"}) == 1;
     }},
    {"policy", "exempt_listeners", "[]",
     "users whom everybody may connect to: names, uids, ranges; \"slurm@10.0.0.1\": there alone",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_exemption(c.policy.exempt_listeners, item);
     }},
    {"policy", "exempt_connectors", "[]",
     "users who may connect to everybody; \"root@10.0.0.1\": from there alone",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_exemption(c.policy.exempt_connectors, item);
     }},
    {"policy", "ignored_groups", "[]",
     "groups that are never a reason to allow, like the one of all users",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             if (const auto gid = item.gid())
                 c.policy.ignored_groups.push_back(*gid);
             else
                 c.ignores_unknown_group = true;
         std::ranges::sort(c.policy.ignored_groups);
     }},

    {"fabric", "enabled", "true",
     "IPoIB interfaces have rules of their own; false: they are interfaces like all others",
     [](Config& c, const Value& v) { c.fabric.enabled = v.boolean(); }},
    {"fabric", "ports", "[]", "like scope.ports, on the fabric",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_disjoint(c.fabric.ports, item.port_range(), item);
     }},
    {"fabric", "exempt_ports", "[]", "like scope.exempt_ports, on the fabric",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_exempt_port(c.fabric.exempt_ports, item);
     }},
    {"fabric", "protocols", "[]", "like scope.protocols, on the fabric",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_protocol(c.fabric.protocols, item);
     }},
    {"fabric", "peers", "[]", "the nodes' addresses on the fabric; []: those of peers.ranges",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_peer(c.fabric.peers, item);
     }},
    {"fabric", "reasons", "[\"same-user\", \"same-group\", \"same-label\"]",
     "which reasons to allow count on the fabric, of those that [policy] has", set_fabric_reasons},
    {"fabric", "exempt_listeners", "[]", "like policy.exempt_listeners, and beside them",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_exemption(c.fabric.exempt_listeners, item);
     }},
    {"fabric", "exempt_connectors", "[]", "like policy.exempt_connectors, and beside them",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             add_exemption(c.fabric.exempt_connectors, item);
     }},
    {"fabric", "pkeys", "[]",
     "P_Keys whose partition is a label of both ends, like [\"0x8001\"]; see policy.labels",
     [](Config& c, const Value& v) {
         for (const auto& item : v.array())
             c.fabric.pkeys.push_back(item.pkey());
     }},
    {"fabric", "notrack", "true",
     "no connection tracking on the fabric; false: where other rules need it",
     [](Config& c, const Value& v) { c.fabric.notrack = v.boolean(); }},
    {"fabric", "udp_timeout_s", "60", "seconds without a packet after which a UDP flow is over",
     [](Config& c, const Value& v) {
         c.fabric.udp_timeout = std::chrono::seconds(v.integer(5, 3600));
     }},
    {"fabric", "rdma", "\"log\"",
     "RDMA connections between users who may not talk: \"off\", \"log\", or \"end\"",
     [](Config& c, const Value& v) {
         c.fabric.rdma = static_cast<Config::Fabric::Rdma>(v.one_of({"off", "log", "end"}));
     }},

    {"labels", "slurm", "false", "a job's MCS label, as 'ubfctl job begin' registers it",
     [](Config& c, const Value& v) { c.labels.slurm = v.boolean(); }},
    {"labels", "selinux", "false", "the categories that SELinux runs a process with",
     [](Config& c, const Value& v) { c.labels.selinux = v.boolean(); }},
    {"labels", "state_directory", "\"/var/lib/ubf\"", "where the jobs that run are written down",
     [](Config& c, const Value& v) { c.labels.state_directory = v.string(); }},
    {"labels", "when_withdrawn", "\"end\"",
     "flows that were allowed by a label which is withdrawn: \"end\" or \"keep\"",
     [](Config& c, const Value& v) {
         c.labels.end_flows = v.one_of({"keep", "end"}) == 1;
     }},

    {"owners", "bpf", "true",
     "the kernel records who makes a socket listen or connect, where it can; false: it doesn't",
     [](Config& c, const Value& v) { c.owners.bpf = v.boolean(); }},

    {"ident", "port", "1017", "privileged UDP port on which the nodes' ubfd ask each other",
     [](Config& c, const Value& v) { c.ident.port = static_cast<Port>(v.integer(1, 1023)); }},
    {"ident", "key_file", "\"/etc/ubf/ident.key\"", "the cluster key; the same on every node",
     [](Config& c, const Value& v) { c.ident.key_file = v.string(); }},
    {"ident", "deadline_ms", "900",
     "how long a packet waits for a peer; below the second after which a SYN is sent again",
     [](Config& c, const Value& v) {
         c.ident.deadline = std::chrono::milliseconds(v.integer(10, most_deadline_ms));
     }},
    {"ident", "clock_skew_ms", "30000", "how far the clocks of two nodes may differ",
     [](Config& c, const Value& v) {
         c.ident.clock_skew = std::chrono::milliseconds(v.integer(100, 3'600'000));
     }},
    {"ident", "push", "true",
     "peers tell each other who begins a connection, before they are asked",
     [](Config& c, const Value& v) { c.ident.push = v.boolean(); }},
    {"ident", "push_group", "1017", "the group of nfnetlink_log by which ubfd hears who does",
     [](Config& c, const Value& v) {
         c.ident.push_group = static_cast<std::uint16_t>(v.integer(0, 65535));
     }},

    {"ruleset", "manage", "true",
     "ubfd installs its nftables table; false: the administrator imports it, ubfd checks it",
     [](Config& c, const Value& v) { c.ruleset.manage = v.boolean(); }},
    {"ruleset", "when_gone", "\"install\"",
     "where manage is false and the imported table is gone: \"install\" ubfd's own, or \"report\"",
     [](Config& c, const Value& v) {
         c.ruleset.stand_in = v.one_of({"install", "report"}) == 0;
     }},
    {"ruleset", "without_daemon", "\"refuse\"",
     "new flows while no ubfd runs: \"refuse\", or \"allow\" (fail-open)",
     [](Config& c, const Value& v) {
         c.ruleset.allow_without_daemon = v.one_of({"refuse", "allow"}) == 1;
     }},
    {"ruleset", "on_stop", "\"remove\"", "the table when ubfd is stopped: \"remove\" or \"keep\"",
     [](Config& c, const Value& v) {
         c.ruleset.keep_on_stop = v.one_of({"remove", "keep"}) == 1;
     }},

    {"mark", "mask", "0x00e00000", "three adjacent bits of the packet mark that nobody else uses",
     [](Config& c, const Value& v) {
         const auto mask = static_cast<std::uint32_t>(v.integer(1, 0xffffffff));
         if (std::popcount(mask) != 3 || mask >> std::countr_zero(mask) != 7)
             v.fail("not three adjacent bits; write it like 0x00e00000");
         c.mark.mask = mask;
     }},

    {"log", "target", "\"auto\"",
     "\"journal\", \"stderr\", or \"auto\": the journal where there is one",
     [](Config& c, const Value& v) {
         c.log.target = static_cast<Config::Log::Target>(v.one_of({"auto", "journal", "stderr"}));
     }},
    {"log", "fold_s", "10", "seconds within which repeats of one denial become one line",
     [](Config& c, const Value& v) { c.log.fold = std::chrono::seconds(v.integer(1, 3600)); }},

    {"control", "socket", "\"/run/ubf/control.sock\"", "where ubfctl reaches ubfd",
     [](Config& c, const Value& v) { c.control.socket = v.string(); }},
};

} // namespace

std::span<const Option> options() {
    return all;
}

} // namespace ubf::config
