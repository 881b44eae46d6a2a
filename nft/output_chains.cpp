#include "nft/chain_builder.hpp"
#include "nft/chains.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

namespace ubf::nft {

using namespace statement;

namespace {

// TCP needs no tracking: the gate sees the first packet, and recognises it by its flags.
void add_untracked_peers(ChainBuilder& chain, std::vector<Statement> where) {
    chain.add_for_families("peers", "TCP between peers (peers.notrack).", [&](SetType family) {
        const auto peers = ethernet.set(of_family(set_of_peers, family));
        return where + Statements{tcp(), source_in(family, peers, false),
                                  destination_in(family, peers), notrack()};
    });
}

} // namespace

Chain fabric_in_chain(const Config& config) {
    ChainBuilder chain(
        "fabric_in",
        "No connection tracking on the fabric: its table would fill when thousands of "
        "ranks find each other.",
        Hook{NF_INET_PRE_ROUTING, NF_IP_PRI_RAW});
    if (config.fabric.enabled && config.fabric.notrack)
        chain.add("notrack", "", {from_fabric(), notrack()});
    if (config.peers.notrack)
        add_untracked_peers(chain, {});
    return chain.done();
}

namespace {

void add_sent(ChainBuilder& chain, const Config& config) {
    const auto remember = [&](SetType family) {
        return remember_answer(flow_type(family), of_family(set_of_sent, family),
                               config.fabric.udp_timeout);
    };
    chain.add_for_families("sent", "", [&](SetType family) {
        return Statements{udp(),
                          flow_in(flow_type(family), of_family(set_of_sent, family), false, true),
                          remember(family), leave()};
    });
    chain.add("sent_too_fast", "Nobody fills it by himself: what he begins faster is not in it.",
              {udp(), user_over_limit(set_of_senders, 500, 4096), count(), leave()});
    chain.add_for_families("sent_first", "", [&](SetType family) {
        return Statements{udp(), remember(family), leave()};
    });
    chain.add("sent_full", "Where the set is full, the answer is taken for a beginning.",
              {udp(), count()});
}

} // namespace

Chain fabric_out_chain(const Config& config) {
    ChainBuilder chain(
        "fabric_out",
        "The same on the way out. And what UDP sends may be answered: without conntrack, "
        "a set knows it.",
        Hook{NF_INET_LOCAL_OUT, NF_IP_PRI_RAW});
    if (config.peers.notrack)
        add_untracked_peers(chain,
                            config.fabric.enabled ? Statements{to_fabric(false)} : Statements{});
    if (!config.fabric.enabled)
        return chain.done();
    chain.add("ethernet", "", {to_fabric(false), accept()}); // first, since most packets match it
    if (config.fabric.notrack)
        chain.add("notrack", "", {notrack()});
    add_sent(chain, config);
    return chain.done();
}

Chain untracked_out_chain(const Config& config) {
    ChainBuilder chain(
        "untracked_out",
        "The same elsewhere, of what the site doesn't track (notrack), or tracks apart (a "
        "zone), where ubfd doesn't find it.");
    add_sent(chain, config);
    return chain.done();
}

namespace {

// If this node sends from an address that is no peer's, the peer takes it for outside and its ubfd
// asks nobody.
void add_unlisted(ChainBuilder& chain, const Side& side, std::string_view name, const Side& peers,
                  std::string why) {
    chain.add_for_families(name, std::move(why), [&](SetType family) {
        return Statements{source_in(family, side.set(of_family(set_of_peers, family)), true),
                          destination_in(family, peers.set(of_family(set_of_peers, family))),
                          not_to_loopback(),
                          from_ordinary_user(),
                          count(),
                          family == SetType::ipv6 ? reject_address_unreachable()
                                                  : reject_prohibited()};
    });
}

constexpr const char* to_peers_from_peers =
    "What a program sends to a peer comes from a peer's address, or the peer would take it for "
    "somebody outside.";

} // namespace

Chain fabric_unlisted_chain(const Config& config) {
    ChainBuilder chain("fabric_unlisted", config.fabric.enabled ? to_peers_from_peers : "");
    if (!config.fabric.enabled)
        return chain.done();
    add_unlisted(chain, fabric, "unlisted", fabric, "");
    if (!config.fabric.peers.empty())
        add_unlisted(chain, fabric, "unlisted:ethernet", ethernet, "");
    return chain.done();
}

Chain unlisted_chain(const Config& config) {
    ChainBuilder chain("unlisted", to_peers_from_peers);
    if (config.fabric.enabled)
        chain.add("fabric", "", {to_fabric(true), go_to("fabric_unlisted")});
    add_unlisted(chain, ethernet, "unlisted", ethernet, "");
    if (config.fabric.enabled && !config.fabric.peers.empty())
        add_unlisted(chain, ethernet, "unlisted:fabric", fabric, "");
    return chain.done();
}

namespace {

void add_kernel_socket(ChainBuilder& chain, const Side& side, const Environment& environment,
                       const std::string& name, std::string why) {
    const Statements watched{
        source_port_from(environment.unprivileged_port_start, "$unprivileged_port_start"),
        destination_port_in(side.set(set_of_ports), false),
        destination_port_in(side.set(set_of_exempt_udp), true),
        destination_port_in(set_of_tunnels, true)};
    const Statements refuse{not_transparent(), count(), reject_prohibited()};
    if (!side.fabric)
        chain.add(name + ":lo", std::exchange(why, {}),
                  watched + Statements{to_loopback()} + refuse);
    chain.add_for_families(name, why, [&](SetType family) {
        Statements where{destination_in(family, side.set(of_family(set_of_peers, family)))};
        if (side.fabric)
            where.insert(where.begin(), to_fabric(true));
        return watched + where + refuse;
    });
}

void add_limit(ChainBuilder& chain, const Config::Limits& limits, Config::Limits::Rate rate,
               const char* set, const Statements& which) {
    if (!rate.any())
        return;
    for (const auto& users : limits.users)
        chain.add(fmt::format("limited:{}", value(users.first)), "",
                  which + Statements{from_users(users),
                                     user_over_limit(set, rate.per_second, rate.burst),
                                     remember_user(set_of_over_limit, over_limit_kept),
                                     jump("over_limit")});
}

} // namespace

Chain datagrams_out_chain(const Config& config, const Environment& environment) {
    ChainBuilder chain("datagrams_out", "UDP that this node itself sends.");
    chain.add("untracked", "", {ct_untracked(), jump("untracked_out")});
    chain.add("zoned", "", {ct_zoned(), jump("untracked_out")});
    if (config.fabric.enabled)
        chain.add("roce_forged",
                  "That is the kernel's and the adapter's: a datagram of a program's own making "
                  "could write into somebody's memory.",
                  {destination_port(roce_port, roce), from_socket_of_user(), count(),
                   reject_prohibited()});
    add_limit(chain, config.limits, config.limits.udp_flows, set_of_new_udp_by_user, {ct_first()});
    chain.add("programs", "", {from_socket_of_user(), go_to("unlisted")});
    add_kernel_socket(chain, ethernet, environment, "kernel_socket",
                      "Left is what has a socket of the kernel's, or none. Users can send by such "
                      "a socket too (AF_RXRPC: one for all of them), and nobody could say who: not "
                      "to ports that are watched. Tunnels pass, and by their low ports the "
                      "kernel's services.");
    if (config.fabric.enabled)
        add_kernel_socket(chain, fabric, environment, "kernel_socket:fabric", "");
    return chain.done();
}

Chain over_limit_chain(const Config& config) {
    ChainBuilder chain("over_limit",
                       "A user begins connections or UDP flows faster than [limits] says.");
    if (!config.limits.any())
        return chain.done();
    if (!config.limits.refuse) {
        chain.add("over_limit", "The kernel sends a SYN again.", {count(), drop()});
        return chain.done();
    }
    chain.add("over_limit:tcp6", "", {over_ipv6(), count(), reject_address_unreachable()});
    chain.add("over_limit", "", {count(), reject_prohibited()});
    return chain.done();
}

Chain connections_out_chain(const Config& config) {
    ChainBuilder chain("connections_out", "What begins or answers a TCP connection here.");
    const auto from_exempt_place = [](SetType family) {
        return Statements{tcp(), syn_with_ack(),
                          from_place_in(family == SetType::ipv4 ? SetType::place4 : SetType::place6,
                                        of_family(set_of_exempt_places, family))};
    };
    chain.add_for_families(
        "exempt_answer",
        "The kernel lets anybody connect to the listener of an exempt user. Somebody else's socket "
        "at that place could answer in its stead, by connecting at the same moment.",
        [&](SetType family) {
            const bool v4 = family == SetType::ipv4;
            return from_exempt_place(family) +
                   Statements{from_held_place_in(v4 ? SetType::held_place4 : SetType::held_place6,
                                                 of_family(set_of_exempt_holders, family)),
                              accept()};
        });
    chain.add_for_families(
        "answer_forged",
        "(What a listener answers by a SYN cookie has no socket, or only a request.)",
        [&](SetType family) {
            return from_exempt_place(family) +
                   Statements{from_connecting_socket(), count(), reject_prohibited()};
        });
    chain.add("answer", "", {tcp(), syn_with_ack(), accept()});
    add_limit(chain, config.limits, config.limits.connections, set_of_new_by_user, {});
    chain.add("unlisted", "", {jump("unlisted")});
    return chain.done();
}

Chain protocols_out_chain(const Config& config) {
    ChainBuilder chain("protocols_out", "All other protocols: the same pass as on the way in.");
    if (config.fabric.enabled) {
        chain.add("fabric", "",
                  {to_fabric(true), protocol_in(fabric.set(set_of_protocols)), accept()});
        chain.add("passed", "",
                  {to_fabric(false), protocol_in(ethernet.set(set_of_protocols)), accept()});
    } else {
        chain.add("passed", "", {protocol_in(ethernet.set(set_of_protocols)), accept()});
    }
    if (const auto& interfaces = config.scope.interfaces; !interfaces.are_all()) {
        Statements unwatched{to_interface_in(set_of_interfaces(interfaces), !interfaces.except)};
        if (config.fabric.enabled)
            unwatched.insert(unwatched.begin(), to_fabric(false));
        chain.add(set_of_interfaces(interfaces), "Interfaces that nobody asked ubfd to watch.",
                  unwatched + Statements{accept()});
    }
    chain.add("protocols_out", "A user's are refused; the kernel and root may have tunnels.",
              {from_ordinary_user(), count(), reject_prohibited()});
    return chain.done();
}

Chain not_local_chain() {
    ChainBuilder chain(
        "not_local",
        "A user's packet has a source that is this node's. A refusal would go to whoever "
        "has that address, so it is dropped: the program sees EPERM, or a timeout.");
    chain.add("root", "", {from_root(), leave()});
    chain.add("forged", "", {from_ordinary_user(), not_transparent(), count(), drop()});
    chain.add("forged:kernel", "Users can connect by a socket of the kernel's as well (AF_SMC).",
              {tcp(), not_transparent(), count(), drop()});
    return chain.done();
}

Chain outbound_deny_chain(const Config& config) {
    ChainBuilder chain("outbound_deny",
                       "A management network: users begin nothing there, but may answer.");
    if (config.scope.outbound_deny.empty())
        return chain.done();
    chain.add("answer:tcp", "", {tcp(), syn_with_ack(), leave()});
    chain.add("answer", "", {ct_reply(), leave()});
    chain.add("outbound_deny:tcp6", "",
              {over_ipv6(), tcp(), from_ordinary_user(), count(), reject_address_unreachable()});
    chain.add("outbound_deny", "", {from_ordinary_user(), count(), reject_prohibited()});
    return chain.done();
}

Chain output_chain(const Config& config) {
    ChainBuilder chain("output",
                       "What this node itself sends, and nothing that it forwards. Established "
                       "traffic passes two conditions.",
                       Hook{NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER + 1});
    chain.add("begun", "", {tcp(), no_syn(), accept()});
    if (!config.scope.outbound_deny.empty())
        chain.add("outbound_deny", "",
                  {to_interface_in(set_of_outbound_deny, false), jump("outbound_deny")});
    chain.add("not_local",
              "What conntrack says doesn't count: what is forwarded is established too.",
              {source_not_local(), jump("not_local")});
    chain.add("datagrams", "", {udp(), go_to("datagrams_out")});
    chain.add("connections", "", {tcp(), go_to("connections_out")});
    chain.add("protocols", "", {go_to("protocols_out")});
    return chain.done();
}

} // namespace ubf::nft
