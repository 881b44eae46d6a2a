#include "nft/chain_builder.hpp"
#include "nft/chains.hpp"

#include <netinet/in.h>

namespace ubf::nft {

using namespace statement;

namespace {

Statement from_peers(const Side& side, SetType family) {
    return source_in(family, side.set(of_family(set_of_peers, family)), false);
}

// From an address that is no peer's, to one that is. If no range lists the destination, nothing is
// outside: its neighbours may well be nodes. Nor is a link-local source outside, since it is next
// door. The fabric has no loopback, so its rules need no exception for it.
Statements from_outside(const Side& side, SetType family) {
    const auto peers = side.set(of_family(set_of_peers, family));
    Statements outside{source_in(family, peers, true), destination_in(family, peers),
                       source_is_not_link_local(family)};
    if (!side.fabric)
        outside.insert(outside.begin(), on_loopback(false));
    return outside;
}

// The same by conntrack.
Statements tracked_answer() {
    return {udp(), ct_reply(), ct_established()};
}

// Adds the rules for both kinds of answers, and both families.
void add_answers(ChainBuilder& chain, const Side& side, const std::string& name, std::string why,
                 const Statements& then) {
    if (!side.fabric)
        chain.add(name, std::exchange(why, {}), tracked_answer() + then);
    chain.add_for_families(side.fabric ? name : name + ":untracked", why,
                           [&](SetType family) { return untracked_answer(side, family) + then; });
}

Statement from_privileged(const Environment& environment) {
    return source_port_below(environment.unprivileged_port_start, "$unprivileged_port_start");
}

// Only root can hold a privileged port. If the ident port is not privileged, no lower port proves
// more. The source must then be the ident port itself, which is taken while ubfd runs there.
Statement from_ident(const Config& config, const Environment& environment) {
    return config.ident.port < environment.unprivileged_port_start
               ? from_privileged(environment)
               : source_port(config.ident.port, "$ident_port");
}

void add_ident(ChainBuilder& chain, const Side& side, const Config& config,
               const Environment& environment) {
    const auto to_ident = destination_port(config.ident.port, "$ident_port");
    const auto from = from_ident(config, environment);
    std::string why = "ubfd asks ubfd, on this node and between peers, from ports that only root "
                      "can hold.";
    if (!side.fabric)
        chain.add("ident:lo", std::exchange(why, {}),
                  {udp(), to_ident, from, on_loopback(true), accept()});
    chain.add_for_families("ident", why, [&](SetType family) {
        return Statements{udp(), to_ident, from, from_peers(side, family), accept()};
    });
    chain.add("ident_foreign", "Nobody else speaks to it.", {udp(), to_ident, count(), drop()});
}

void add_other_protocols(ChainBuilder& chain, const Side& side) {
    chain.add("protocols", "ICMP, neighbour discovery, and the protocols that the site names.",
              {protocol_in(side.set(set_of_protocols)), accept()});
    chain.add("other_protocols",
              "Nobody can say whose the others are: refused. (Without a protocol that the kernel "
              "can find, a packet goes on, and is refused at the end.)",
              {protocol_not(IPPROTO_TCP, "tcp"), protocol_not(IPPROTO_UDP, "udp"), count(),
               reject_prohibited()});
}

void add_tcp(ChainBuilder& chain) {
    chain.add("syn",
              "What can begin a connection is asked about, whatever conntrack calls it: two SYNs "
              "that cross make one too.",
              {tcp(), syn_without_ack(), leave()});
    chain.add("tcp",
              "All other TCP begins nothing: it is older than this table, or conntrack lost it, or "
              "never had it.",
              {tcp(), accept()});
}

// TCP first: all rules after it are UDP's.
void add_ports(ChainBuilder& chain, const Side& side) {
    chain.add("ports", "Ports that nobody asked ubfd to watch.",
              {destination_port_in(side.set(set_of_ports), true), accept()});
    chain.add("exempt:tcp", "Ports that are open to everybody.",
              {tcp(), destination_port_in(side.set(set_of_exempt_tcp), false), accept()});
    add_tcp(chain);
    chain.add("exempt:udp", "UDP ports that are open to everybody.",
              {udp(), destination_port_in(side.set(set_of_exempt_udp), false), accept()});
    add_answers(chain, side, "udp_reply:ports",
                "What was sent to such a port may be answered from there.",
                {source_port_in(side.set(set_of_ports), true), accept()});
    add_answers(chain, side, "udp_reply:exempt", "",
                {source_port_in(side.set(set_of_exempt_udp), false), accept()});
}

void add_multicast(ChainBuilder& chain) {
    chain.add("multicast:ipv4",
              "One datagram for many listeners: whatever one of them says, the others get it too.",
              {destination_is_multicast(SetType::ipv4), udp(), count(), go_to("multicast")});
    chain.add("multicast:ipv6", "",
              {destination_is_multicast(SetType::ipv6), udp(), count(), go_to("multicast")});
    chain.add("multicast:frame", "", {link_broadcast(), udp(), count(), go_to("multicast")});
    chain.add("multicast:route", "On loopback no frame is a broadcast, but an address can be.",
              {udp(), destination_is_broadcast(), count(), go_to("multicast")});
}

void add_udp(ChainBuilder& chain, const Side& side, const Environment& environment) {
    std::string why = "Answers from beyond the peers, where no ubfd is.";
    if (!side.fabric)
        chain.add_for_families("udp_outside", std::exchange(why, {}), [&](SetType family) {
            return from_outside(side, family) + tracked_answer() + Statements{accept()};
        });
    chain.add_for_families(side.fabric ? "udp_outside" : "udp_outside:untracked", why,
                           [&](SetType family) {
                               return from_outside(side, family) + untracked_answer(side, family) +
                                      Statements{accept()};
                           });
    // If any user may hold any port, a low port proves nothing.
    if (environment.unprivileged_port_start == 0)
        return;
    add_answers(chain, side, "udp_system",
                "Answers of system services: from ports that only root can hold.",
                {from_privileged(environment), accept()});
}

} // namespace

Chain multicast_chain() {
    ChainBuilder chain("multicast", "Dropped: ubfd tells of each destination once in a while.");
    // The drop is a rule of its own: nft ends a rule whose set is full before its verdict.
    chain.add_for_families("seen", "", [](SetType family) {
        return Statements{
            remember_destination(family == SetType::ipv4 ? SetType::place4 : SetType::place6,
                                 of_family(set_of_multicast, family), multicast_kept)};
    });
    chain.add("drop", "", {drop()});
    return chain.done();
}

Chain fabric_chain(const Config& config, const Environment& environment) {
    ChainBuilder chain("fabric", "The same as scope, for IPoIB interfaces: without conntrack.");
    if (!config.fabric.enabled)
        return chain.done();
    add_ident(chain, fabric, config, environment);
    add_other_protocols(chain, fabric);
    add_ports(chain, fabric);
    add_multicast(chain);
    add_udp(chain, fabric, environment);
    return chain.done();
}

Chain slurm_chain(const Config& config) {
    ChainBuilder chain("slurm", "Slurm's daemons are there for the hosts of its cluster alone.");
    if (config.slurm.ports.empty())
        return chain.done();
    chain.add("lo", "", {on_loopback(true), leave()});
    chain.add_for_families("host", "", [](SetType family) {
        return Statements{source_in(family, of_family(set_of_slurm_hosts, family), false), leave()};
    });
    chain.add("slurm_foreign:tcp6", "",
              {over_ipv6(), tcp(), count(), reject_address_unreachable()});
    chain.add("slurm_foreign", "", {count(), reject_prohibited()});
    return chain.done();
}

Chain scope_chain(const Config& config, const Environment& environment) {
    ChainBuilder chain(
        "scope", "Lets go what ubfd is not asked about; what returns from here, it is. Both base "
                 "chains go through it, so that they can't disagree. (It sees a packet twice, and "
                 "counts only what ends here.)");
    if (!config.slurm.ports.empty())
        chain.add("slurm", "",
                  {tcp(), destination_port_in(set_of_slurm_ports, false), syn_without_ack(),
                   jump("slurm")});
    if (config.fabric.enabled) {
        chain.add("fabric", "IPoIB has rules of its own.", {from_fabric(), go_to("fabric")});
        chain.add_for_families(
            "roce",
            "RDMA over UDP, of the kernels of peers: chain output, there, keeps users off it.",
            [](SetType family) {
                return Statements{udp(), destination_port(roce_port, roce),
                                  from_peers(ethernet, family), accept()};
            });
    }
    if (const auto& interfaces = config.scope.interfaces; !interfaces.are_all())
        chain.add(set_of_interfaces(interfaces), "Interfaces that nobody asked ubfd to watch.",
                  {interface_in(set_of_interfaces(interfaces), !interfaces.except), accept()});
    add_ident(chain, ethernet, config, environment);
    add_other_protocols(chain, ethernet);
    add_ports(chain, ethernet);
    add_multicast(chain); // after the exempt ports, or multicast DNS could not be exempt
    add_udp(chain, ethernet, environment);
    return chain.done();
}

} // namespace ubf::nft
