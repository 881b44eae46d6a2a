#include "config/options.hpp"

#include "base/text.hpp"
#include "config/distinct.hpp"
#include "config/identity.hpp"
#include "config/limit_options.hpp"
#include "config/portal_options.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <vector>

namespace ubf::config {
namespace {

void set_kernel(Config& config, const Value& value) {
    auto& list = config.policy.exempt_kernel;
    list.clear();
    if (!value.is_array()) {
        if (value.one_of({"deny", "allow"}) == 1)
            list.emplace_back();
        return;
    }
    value.each([&](const Value& item) { list.push_back(item.kernel_exemption()); });
}

void add_protocol(std::vector<std::uint8_t>& list, const Value& value) {
    const auto number = value.ip_protocol();
    if (std::ranges::find(list, number) != list.end())
        value.fail(fmt::format("protocol {} stands here twice; write it once", number));
    list.push_back(number);
    std::ranges::sort(list);
}

void set_interfaces(Config& config, const Value& list, bool except) {
    auto& interfaces = config.scope.interfaces;
    if (!interfaces.listed.empty() && interfaces.except != except)
        list.fail("either scope.interfaces or scope.except_interfaces; leave one of them out");
    interfaces.except = except;
    list.each([&](const Value& item) { add_interface(interfaces.listed, item); });
}

void set_outbound_deny(Config& config, const Value& list) {
    list.each([&](const Value& item) { add_interface(config.scope.outbound_deny, item); });
}

void set_fabric_reasons(Config& config, const Value& value) {
    auto& fabric = config.fabric;
    bool* const reasons[] = {&fabric.same_user, &fabric.same_group, &fabric.same_label};
    for (bool* reason : reasons)
        *reason = false;
    value.each([&](const Value& item) {
        *reasons[item.one_of({"same-user", "same-group", "same-label"})] = true;
    });
}

template<auto section, auto field>
bool differs(const Config& a, const Config& b) {
    return a.*section.*field != b.*section.*field;
}

constexpr std::int64_t most_queued = 65535;    // not every kernel keeps more
constexpr std::int64_t most_deadline_ms = 999; // a SYN is retransmitted after a second

constexpr Option of_most_sections[] = {
    {"queue", "first", "0", "number of the first netfilter queue",
     [](Config& c, const Value& v) {
         c.queue.first = static_cast<std::uint16_t>(v.integer(0, 65535));
     },
     differs<&Config::queue, &Config::Queue::first>},
    {"queue", "count", "0", "how many queues, each with a thread; 0: one a CPU, four at most",
     [](Config& c, const Value& v) {
         c.queue.count = static_cast<std::uint16_t>(v.integer(0, 64));
     },
     differs<&Config::queue, &Config::Queue::count>},
    {"queue", "length", "16384", "packets that may wait in each queue; what is beyond is dropped",
     [](Config& c, const Value& v) {
         c.queue.length = static_cast<std::uint32_t>(v.integer(16, most_queued));
     },
     differs<&Config::queue, &Config::Queue::length>},

    {"scope", "interfaces", "[]",
     "interfaces to watch, like [\"lo\", \"eth*\"]; []: all, loopback included",
     [](Config& c, const Value& v) { set_interfaces(c, v, false); }},
    {"scope", "except_interfaces", "[]",
     "interfaces not to watch, like [\"virbr*\"]; all others are",
     [](Config& c, const Value& v) { set_interfaces(c, v, true); }},
    {"scope", "ports", "[]",
     "listening ports to watch, like [\"1024-65535\"]; []: from "
     "net.ipv4.ip_unprivileged_port_start up",
     [](Config& c, const Value& v) { c.scope.ports = port_ranges(v); }},
    {"scope", "exempt_ports", "[]", "ports that pass unwatched, like [\"tcp/8443\", \"udp/5353\"]",
     [](Config& c, const Value& v) { c.scope.exempt_ports = exempt_ports(v); }},
    {"scope", "protocols", "[]",
     "protocols that pass unwatched beside ICMP and IGMP, like [\"esp\", \"ah\", 112]",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) { add_protocol(c.scope.protocols, item); });
     }},
    {"scope", "outbound_deny", "[]",
     "interfaces of management networks, like [\"eth1\"]: users begin nothing there, root may",
     set_outbound_deny},

    {"peers", "ranges", "[]", "addresses of the nodes that run ubfd, like [\"10.0.0.0/16\"]",
     [](Config& c, const Value& v) { c.peers.ranges = prefixes(v); }},

    {"peers", "except", "[]",
     "addresses within the ranges that never run ubfd, like [\"10.0.0.250\"]: they are outside",
     [](Config& c, const Value& v) { c.peers.except = prefixes(v); }},
    {"peers", "unready", "[]",
     "addresses within the ranges that do not run ubfd yet, and are not asked; see policy.unready",
     [](Config& c, const Value& v) { c.policy.unready = prefixes(v); }},
    {"peers", "notrack", "false",
     "no connection tracking of TCP between addresses of the ranges; true: where no other rule "
     "needs it",
     [](Config& c, const Value& v) { c.peers.notrack = v.boolean(); }},

    {"policy", "mode", "\"enforce\"",
     "\"enforce\", or \"observe\": all is decided and logged, and nothing is refused",
     [](Config& c, const Value& v) {
         c.observed.all = v.one_of({"enforce", "observe"}) == 1;
     }},
    {"policy", "observe_peers", "[]",
     "flows with these nodes are only observed, like [\"10.0.4.0/24\"]",
     [](Config& c, const Value& v) { c.observed.peers = prefixes(v); }},
    {"policy", "observe_interfaces", "[]",
     "flows that come in at these interfaces are only observed, like [\"eth1\", \"ib*\"]",
     [](Config& c, const Value& v) {
         c.observed.interfaces.clear();
         v.each([&](const Value& item) { c.observed.interfaces.push_back(item.interface()); });
     }},
    {"policy", "observe_ports", "[]",
     "flows to these ports are only observed, like [\"tcp/8888\", \"8700-8799\"]",
     [](Config& c, const Value& v) { c.observed.ports = exempt_ports(v); }},
    {"policy", "same_user", "true", "two programs of one user may talk",
     [](Config& c, const Value& v) { c.policy.same_user = v.boolean(); }},
    {"policy", "same_group", "true",
     "a listener's effective group lets in the members of that group",
     [](Config& c, const Value& v) { c.policy.same_group = v.boolean(); }},
    {"policy", "subids", "false",
     "subordinate uids, of containers (subuid(5)), count as the user whose they are",
     [](Config& c, const Value& v) { c.policy.subids = v.boolean(); }},
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
    {"policy", "unready", "\"deny\"",
     "what nodes start that do not run ubfd yet (peers.unready): \"deny\" or \"allow\"",
     [](Config& c, const Value& v) {
         c.policy.unready_allowed = v.one_of({"deny", "allow"}) == 1;
     }},
    {"policy", "exempt_listeners", "[]",
     "users whom everybody may connect to: names, uids, ranges; \"slurm@10.0.0.1\": there alone",
     [](Config& c, const Value& v) { c.policy.exempt_listeners = exemptions(v); }},
    {"policy", "exempt_connectors", "[]",
     "users who may connect to everybody; \"root@10.0.0.1\": from there alone",
     [](Config& c, const Value& v) { c.policy.exempt_connectors = exemptions(v); }},
    {"policy", "allow", "[]",
     "exceptions: who may reach which port of whose, like [\"alice>bob tcp/8786@10.0.0.2\"]",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) {
             if (const auto exception = item.exception())
                 c.policy.exceptions.push_back(*exception);
         });
     }},
    {"policy", "ignored_groups", "[]",
     "groups that are never a reason to allow, like the one of all users",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) {
             if (const auto gid = item.gid())
                 c.policy.ignored_groups.push_back(*gid);
             else
                 c.unknown.ignored_group = true;
         });
         std::ranges::sort(c.policy.ignored_groups);
     }},

    {"fabric", "enabled", "true",
     "IPoIB interfaces have rules of their own; false: they are interfaces like all others",
     [](Config& c, const Value& v) { c.fabric.enabled = v.boolean(); }},
    {"fabric", "ports", "[]", "like scope.ports, on the fabric",
     [](Config& c, const Value& v) { c.fabric.ports = port_ranges(v); }},
    {"fabric", "exempt_ports", "[]", "like scope.exempt_ports, on the fabric",
     [](Config& c, const Value& v) { c.fabric.exempt_ports = exempt_ports(v); }},
    {"fabric", "protocols", "[]", "like scope.protocols, on the fabric",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) { add_protocol(c.fabric.protocols, item); });
     }},
    {"fabric", "peers", "[]", "the nodes' addresses on the fabric; []: those of peers.ranges",
     [](Config& c, const Value& v) { c.fabric.peers = prefixes(v); }},
    {"fabric", "reasons", "[\"same-user\", \"same-group\", \"same-label\"]",
     "which reasons to allow count on the fabric, of those that [policy] has", set_fabric_reasons},
    {"fabric", "exempt_listeners", "[]", "like policy.exempt_listeners, and beside them",
     [](Config& c, const Value& v) { c.fabric.exempt_listeners = exemptions(v); }},
    {"fabric", "exempt_connectors", "[]", "like policy.exempt_connectors, and beside them",
     [](Config& c, const Value& v) { c.fabric.exempt_connectors = exemptions(v); }},
    {"fabric", "pkeys", "[]",
     "P_Keys whose partition is a label of both ends, like [\"0x8001\"]; see policy.labels",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) { c.fabric.pkeys.push_back(item.pkey()); });
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

    {"slurm", "conf", "\"\"",
     "slurm.conf: its daemons' ports are for its hosts alone, srun's ports for slurmstepd; \"\": "
     "no",
     [](Config& c, const Value& v) { c.slurm.conf = v.string_or_none(); }},
    {"slurm", "submit_hosts", "[]",
     "hosts that speak with Slurm beside those of slurm.conf: names, or ranges of addresses",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) { c.slurm.submit_hosts.push_back(item.string()); });
     }},

    {"labels", "slurm", "false", "a job's MCS label, as 'ubfctl job begin' registers it",
     [](Config& c, const Value& v) { c.labels.slurm = v.boolean(); }},
    {"labels", "selinux", "false", "the categories that SELinux runs a process with",
     [](Config& c, const Value& v) { c.labels.selinux = v.boolean(); }},
    {"labels", "state_directory", "\"/var/lib/ubf\"", "where the jobs that run are written down",
     [](Config& c, const Value& v) { c.labels.state_directory = v.string(); },
     differs<&Config::labels, &Config::Labels::state_directory>},
    {"labels", "when_withdrawn", "\"end\"",
     "flows that were allowed by a label which is withdrawn: \"end\" or \"keep\"",
     [](Config& c, const Value& v) {
         c.labels.end_flows = v.one_of({"keep", "end"}) == 1;
     }},
    {"labels", "leftovers", "\"report\"",
     "listeners that a job leaves on the node: \"keep\", \"report\" or \"kill\"",
     [](Config& c, const Value& v) {
         using enum Config::Labels::Leftovers;
         constexpr std::array all{keep, report, kill};
         c.labels.leftovers = all[v.one_of({"keep", "report", "kill"})];
     }},

    {"listeners", "keep", "[]",
     "users who may listen without a job: nothing of theirs is left over",
     [](Config& c, const Value& v) {
         v.each([&](const Value& item) {
             if (const auto range = item.uids())
                 c.listeners.keep.push_back(*range);
         });
     }},

    {"owners", "bpf", "true",
     "the kernel records who makes a socket listen or connect, where it can; false: it doesn't",
     [](Config& c, const Value& v) { c.owners.bpf = v.boolean(); },
     differs<&Config::owners, &Config::Owners::bpf>},
    {"owners", "recognise", "true",
     "the kernel lets in by itself what both ends' programs of one user begin, where it can",
     [](Config& c, const Value& v) { c.owners.recognise = v.boolean(); },
     differs<&Config::owners, &Config::Owners::recognise>},

    {"ident", "port", "1017", "privileged UDP port on which the nodes' ubfd ask each other",
     [](Config& c, const Value& v) { c.ident.port = static_cast<Port>(v.integer(1, 1023)); },
     differs<&Config::ident, &Config::Ident::port>},
    {"ident", "key_file", "\"/etc/ubf/ident.key\"", "the cluster key; the same on every node",
     [](Config& c, const Value& v) { c.ident.key_file = v.string(); }},
    {"ident", "deadline_ms", "900",
     "how long a packet waits for a peer; below the second after which a SYN is sent again",
     [](Config& c, const Value& v) {
         c.ident.deadline = std::chrono::milliseconds(v.integer(10, most_deadline_ms));
     }},
    {"ident", "clock_skew_ms", "30000", "how old what a peer tells unasked may be, by its clock",
     [](Config& c, const Value& v) {
         c.ident.clock_skew = std::chrono::milliseconds(v.integer(100, 3'600'000));
     }},
    {"ident", "require_certificates", "false",
     "only peers with a certificate count; false: the cluster key proves a peer, too",
     [](Config& c, const Value& v) { c.ident.require_certificates = v.boolean(); }},

    {"identity", "key", "\"\"", "this node's own key, as 'ubfctl node keygen' makes it; \"\": none",
     [](Config& c, const Value& v) { c.identity.key = v.string_or_none(); }},
    {"identity", "certificate", "\"\"", "this node's certificate, as 'ubfctl ca sign' makes it",
     [](Config& c, const Value& v) { c.identity.certificate = v.string_or_none(); }},
    {"identity", "roster", "\"\"",
     "certificates of all nodes and the revoked ones, as 'ubfctl ca roster' makes it; \"\": none",
     [](Config& c, const Value& v) { c.identity.roster = v.string_or_none(); }},
    {"identity", "authorities", "[]",
     "the authority whose signatures count, and perhaps its successor: lines of 'ubfctl ca init'",
     [](Config& c, const Value& v) { c.identity.authorities = authorities(v); }},

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
     },
     differs<&Config::mark, &Mark::mask>},

    {"log", "target", "\"auto\"",
     "\"journal\", \"stderr\", or \"auto\": the journal where there is one",
     [](Config& c, const Value& v) {
         c.log.target = static_cast<Config::Log::Target>(v.one_of({"auto", "journal", "stderr"}));
     },
     differs<&Config::log, &Config::Log::target>},
    {"log", "help_url", "\"\"",
     "address of a page for users, like docs/refused.md, that each line of a denial names",
     [](Config& c, const Value& v) { c.log.help_url = v.string_or_none(); },
     differs<&Config::log, &Config::Log::help_url>},
    {"log", "fold_s", "10", "seconds within which repeats of one denial become one line",
     [](Config& c, const Value& v) { c.log.fold = std::chrono::seconds(v.integer(1, 3600)); },
     differs<&Config::log, &Config::Log::fold>},

    {"control", "socket", "\"/run/ubf/control.sock\"", "where ubfctl reaches ubfd",
     [](Config& c, const Value& v) { c.control.socket = v.socket_path(); },
     differs<&Config::control, &Config::Control::socket>},
    {"control", "user_socket", "\"/run/ubf/user.sock\"",
     "where every user learns why flows were refused ('ubfctl why'); \"none\": nowhere",
     [](Config& c, const Value& v) {
         const auto path = v.socket_path();
         c.control.user_socket = path == "none" ? std::string() : path;
     },
     differs<&Config::control, &Config::Control::user_socket>},
    {"control", "reveal", "\"user\"",
     "what 'ubfctl why' says of the other end: the \"user\", or \"none\"",
     [](Config& c, const Value& v) {
         c.control.reveal = v.one_of({"none", "user"}) == 1;
     }},
};

constexpr auto all = [] {
    std::array<Option,
               std::size(of_most_sections) + std::size(limit_options) + std::size(portal_options)>
        joined{};
    auto end = std::ranges::copy(of_most_sections, joined.begin()).out;
    end = std::ranges::copy(limit_options, end).out;
    std::ranges::copy(portal_options, end);
    return joined;
}();

} // namespace

std::span<const Option> options() {
    return all;
}

} // namespace ubf::config
