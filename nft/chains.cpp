#include "nft/chains.hpp"

#include "nft/sets.hpp"
#include "nft/statement.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <utility>

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

namespace ubf::nft {
namespace {

using namespace statement;

// The two kinds of interfaces, each with a scope of its own: the fabric's, and all others.
struct Side {
    std::string prefix; // of its sets
    bool fabric;

    std::string set(std::string_view name) const { return prefix + std::string(name); }
};

const Side ethernet{"", false};
const Side fabric{fabric_prefix, true};

SetType flow_type(SetType family) {
    return family == SetType::ipv4 ? SetType::flow4 : SetType::flow6;
}

// Fills a chain and makes the rules' ids.
class Builder {
  public:
    using Statements = std::vector<Statement>;

    Builder(std::string name, std::string why, std::optional<Hook> hook = {})
      : chain_{std::move(name), std::move(why), hook, {}} {}

    void add(std::string_view name, std::string why, Statements statements) {
        chain_.rules.push_back(
            {fmt::format("ubf:{}:{}", chain_.name, name), std::move(why), std::move(statements)});
    }

    // One rule for each family.
    template<typename Make>
    void add_for_families(std::string_view name, std::string why, Make make) {
        for (const SetType family : {SetType::ipv4, SetType::ipv6})
            add(of_family(fmt::format("{}:ipv", name), family), std::exchange(why, {}),
                make(family));
    }

    Chain done() { return std::move(chain_); }

  private:
    Chain chain_;
};

using Statements = Builder::Statements;

Statements operator+(Statements first, const Statements& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

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

// A datagram that answers one from this node, by conntrack or by a set of ours. The set remembers
// datagrams that were sent untracked and, on the fabric, all.
Statements tracked_answer() {
    return {udp(), ct_reply(), ct_established()};
}

Statements untracked_answer(const Side& side, SetType family) {
    const auto is_answer = flow_in(flow_type(family), of_family(set_of_sent, family));
    return side.fabric ? Statements{udp(), is_answer}
                       : Statements{udp(), ct_untracked(), is_answer};
}

// Adds the rules for both kinds of answers, and both families.
void add_answers(Builder& chain, const Side& side, const std::string& name, std::string why,
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

void add_ident(Builder& chain, const Side& side, const Config& config,
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

void add_other_protocols(Builder& chain, const Side& side) {
    chain.add("protocols", "ICMP, neighbour discovery, and the protocols that the site names.",
              {protocol_in(side.set(set_of_protocols)), accept()});
    chain.add("other_protocols",
              "Nobody can say whose the others are: refused. (Without a protocol that the kernel "
              "can find, a packet goes on, and is refused at the end.)",
              {protocol_not(IPPROTO_TCP, "tcp"), protocol_not(IPPROTO_UDP, "udp"), count(),
               reject_prohibited()});
}

void add_tcp(Builder& chain) {
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
void add_ports(Builder& chain, const Side& side) {
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

void add_multicast(Builder& chain) {
    chain.add("multicast:ipv4",
              "One datagram for many listeners: whatever one of them says, the others get it too.",
              {destination_is_multicast(SetType::ipv4), udp(), count(), go_to("multicast")});
    chain.add("multicast:ipv6", "",
              {destination_is_multicast(SetType::ipv6), udp(), count(), go_to("multicast")});
    chain.add("multicast:frame", "", {link_broadcast(), udp(), count(), go_to("multicast")});
    chain.add("multicast:route", "On loopback no frame is a broadcast, but an address can be.",
              {udp(), destination_is_broadcast(), count(), go_to("multicast")});
}

void add_udp(Builder& chain, const Side& side, const Environment& environment) {
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

// RoCEv2 (IANA: roce; InfiniBand Trade Association, Annex A17).
constexpr Port roce_port = 4791;
constexpr const char* roce = "$roce_port";

} // namespace

Chain known_chain(const Config& config) {
    Builder chain("known",
                  "What goes on: nearly all packets, so it comes first. A connection can't begin "
                  "without a SYN; without conntrack, that is all there is to know.");
    chain.add("tcp:established", "", {tcp(), not_syn_without_ack(), ct_established(), accept()});
    if (config.fabric.enabled)
        chain.add("tcp:fabric", "", {tcp(), not_syn_without_ack(), from_fabric(), accept()});
    return chain.done();
}

Chain fabric_known_chain(const Config& config) {
    const Mark& mark = config.mark;
    Builder chain("fabric_known", "The same of the fabric. Nothing is tracked there: the packets "
                                  "that come are all that tells of use.");
    if (config.fabric.enabled)
        chain.add_for_families("fabric_udp", "", [&](SetType family) {
            return Statements{udp(),
                              see_flow_in(flow_type(family), of_family(set_of_fabric_udp, family),
                                          of_family(set_of_seen, family),
                                          config.fabric.udp_timeout),
                              set_mark(mark, mark.allow(), "$mark_allow"), accept()};
        });
    return chain.done();
}

Chain udp_known_chain(const Config& config) {
    const Mark& mark = config.mark;
    Builder chain(
        "udp_known",
        "UDP flows that ubfd allowed, exactly. They stand in sets of ours: no mark and no "
        "state of conntrack's says as much, for others write marks, and two users who "
        "send at once make replies of each other's packets.");
    if (config.fabric.enabled)
        chain.add("fabric", "", {from_fabric(), go_to("fabric_known")});
    chain.add_for_families("udp", "", [&](SetType family) {
        return Statements{udp(), flow_in(flow_type(family), of_family(set_of_udp, family)),
                          set_mark(mark, mark.allow(), "$mark_allow"), accept()};
    });
    return chain.done();
}

Chain multicast_chain() {
    Builder chain("multicast", "Dropped: ubfd tells of each destination once in a while.");
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
    Builder chain("fabric", "The same as scope, for IPoIB interfaces: without conntrack.");
    if (!config.fabric.enabled)
        return chain.done();
    add_ident(chain, fabric, config, environment);
    add_other_protocols(chain, fabric);
    add_ports(chain, fabric);
    add_multicast(chain);
    add_udp(chain, fabric, environment);
    return chain.done();
}

Chain scope_chain(const Config& config, const Environment& environment) {
    Builder chain("scope",
                  "Lets go what ubfd is not asked about; what returns from here, it is. Both base "
                  "chains go through it, so that they can't disagree. (It sees a packet twice, and "
                  "counts only what ends here.)");
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

Chain fabric_gate_chain(const Config& config) {
    const Mark& mark = config.mark;
    Builder chain("fabric_gate", "What ubfd must know of a packet of the fabric.");
    if (!config.fabric.enabled)
        return chain.done();
    chain.add_for_families(
        "direction", "ubfd must know which end began, and where.", [&](SetType family) {
            return untracked_answer(fabric, family) +
                   Statements{set_mark(mark, mark.fabric_reply(), "$mark_fabric_reply"), leave()};
        });
    chain.add("fabric", "", {set_mark(mark, mark.fabric(), "$mark_fabric")});
    return chain.done();
}

Chain gate_chain(const Config& config, const Environment& environment) {
    const Mark& mark = config.mark;
    Builder chain("gate",
                  "Hands the first packet of a flow to ubfd. With bypass: without ubfd it goes on, "
                  "unmarked, and the verdict chain refuses it.",
                  Hook{NF_INET_LOCAL_IN, gate_priority});
    chain.add("known", "", {jump("known")});
    chain.add("udp_known", "", {udp(), jump("udp_known")});
    chain.add("clear", "Nobody else's mark is taken for ubfd's word.", {set_mark(mark, 0, "")});
    chain.add("scope", "", {jump("scope")});
    chain.add("translated", "ubfd must know that its sender's socket has another flow,",
              {ct_translated(), set_mark(mark, mark.translated(), "$mark_translated")});
    chain.add("recognised",
              "(The kernel itself has seen that both ends are one user's: nobody need be asked.)",
              {tcp(), mark_is(mark, 0, "0"), priority_in(set_of_recognised, recognised_mask),
               set_mark(mark, mark.allow(), "$mark_allow"), count(), accept()});
    chain.add("direction", "and which end began.",
              {udp(), ct_reply(), set_mark(mark, mark.reply(), "$mark_reply")});
    chain.add_for_families("direction:untracked", "", [&](SetType family) {
        return untracked_answer(ethernet, family) +
               Statements{set_mark(mark, mark.reply(), "$mark_reply")};
    });
    if (config.fabric.enabled)
        chain.add("fabric", "", {from_fabric(), jump("fabric_gate")});
    chain.add_for_families(
        "denied_before", "What ubfd has denied a moment ago is denied still.", [](SetType family) {
            return Statements{udp(), flow_in(flow_type(family), of_family(set_of_denied, family)),
                              count(), reject_prohibited()};
        });
    chain.add_for_families(
        "exempt_listener", "Whoever asks for a listener that is exempt gets it.",
        [&](SetType family) {
            const auto type = family == SetType::ipv4 ? SetType::listener4 : SetType::listener6;
            return Statements{tcp(), listener_in(type, of_family(set_of_listeners, family)),
                              set_mark(mark, mark.allow(), "$mark_allow"), count(), accept()};
        });
    chain.add("queue", "",
              {queue(config.queue.first, environment.queue_count, environment.queue_expression)});
    return chain.done();
}

namespace {

// TCP needs no tracking: the gate sees the first packet, and recognises it by its flags.
void add_untracked_peers(Builder& chain, std::vector<Statement> where) {
    chain.add_for_families("peers", "TCP between peers (peers.notrack).", [&](SetType family) {
        const auto peers = ethernet.set(of_family(set_of_peers, family));
        return where + Statements{tcp(), source_in(family, peers, false),
                                  destination_in(family, peers), notrack()};
    });
}

} // namespace

Chain fabric_in_chain(const Config& config) {
    Builder chain("fabric_in",
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

void add_sent(Builder& chain, const Config& config) {
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
    Builder chain("fabric_out",
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
    Builder chain(
        "untracked_out",
        "The same elsewhere, of what the site doesn't track (notrack), or tracks apart (a "
        "zone), where ubfd doesn't find it.");
    add_sent(chain, config);
    return chain.done();
}

namespace {

// If this node sends from an address that is no peer's, the peer takes it for outside and its ubfd
// asks nobody.
void add_unlisted(Builder& chain, const Side& side, std::string_view name, const Side& peers,
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
    Builder chain("fabric_unlisted", config.fabric.enabled ? to_peers_from_peers : "");
    if (!config.fabric.enabled)
        return chain.done();
    add_unlisted(chain, fabric, "unlisted", fabric, "");
    if (!config.fabric.peers.empty())
        add_unlisted(chain, fabric, "unlisted:ethernet", ethernet, "");
    return chain.done();
}

Chain unlisted_chain(const Config& config) {
    Builder chain("unlisted", to_peers_from_peers);
    if (config.fabric.enabled)
        chain.add("fabric", "", {to_fabric(true), go_to("fabric_unlisted")});
    add_unlisted(chain, ethernet, "unlisted", ethernet, "");
    if (config.fabric.enabled && !config.fabric.peers.empty())
        add_unlisted(chain, ethernet, "unlisted:fabric", fabric, "");
    return chain.done();
}

namespace {

void add_kernel_socket(Builder& chain, const Side& side, const Environment& environment,
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

} // namespace

Chain datagrams_out_chain(const Config& config, const Environment& environment) {
    Builder chain("datagrams_out", "UDP that this node itself sends.");
    chain.add("untracked", "", {ct_untracked(), jump("untracked_out")});
    chain.add("zoned", "", {ct_zoned(), jump("untracked_out")});
    if (config.fabric.enabled)
        chain.add("roce_forged",
                  "That is the kernel's and the adapter's: a datagram of a program's own making "
                  "could write into somebody's memory.",
                  {destination_port(roce_port, roce), from_socket_of_user(), count(),
                   reject_prohibited()});
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

Chain connections_out_chain() {
    Builder chain("connections_out", "What begins or answers a TCP connection here.");
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
    chain.add("unlisted", "", {jump("unlisted")});
    return chain.done();
}

Chain protocols_out_chain(const Config& config) {
    Builder chain("protocols_out", "All other protocols: the same pass as on the way in.");
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
    Builder chain("not_local",
                  "A user's packet has a source that is this node's. A refusal would go to whoever "
                  "has that address, so it is dropped: the program sees EPERM, or a timeout.");
    chain.add("root", "", {from_root(), leave()});
    chain.add("forged", "", {from_ordinary_user(), not_transparent(), count(), drop()});
    chain.add("forged:kernel", "Users can connect by a socket of the kernel's as well (AF_SMC).",
              {tcp(), not_transparent(), count(), drop()});
    return chain.done();
}

Chain output_chain() {
    Builder chain("output",
                  "What this node itself sends, and nothing that it forwards. Established "
                  "traffic passes two conditions.",
                  Hook{NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER + 1});
    chain.add("begun", "", {tcp(), no_syn(), accept()});
    chain.add("not_local",
              "What conntrack says doesn't count: what is forwarded is established too.",
              {source_not_local(), jump("not_local")});
    chain.add("datagrams", "", {udp(), go_to("datagrams_out")});
    chain.add("connections", "", {tcp(), go_to("connections_out")});
    chain.add("protocols", "", {go_to("protocols_out")});
    return chain.done();
}

Chain verdict_chain(const Config& config) {
    const Mark& mark = config.mark;
    const auto allowed = mark_is(mark, mark.allow(), "$mark_allow");
    const auto closed = mark_is(mark, mark.closed(), "$mark_closed");
    const auto denied = mark_is(mark, mark.denied(), "$mark_denied");
    Builder chain("verdict", "Carries out what ubfd wrote into the mark.",
                  Hook{NF_INET_LOCAL_IN, verdict_priority});
    chain.add("known", "", {jump("known")});
    chain.add("allow", "", {allowed, accept()});
    chain.add("closed:tcp", "Nobody listens: as a closed port answers.",
              {tcp(), closed, count(), reject_reset()});
    chain.add("closed:udp", "", {udp(), closed, count(), reject_port_unreachable()});
    chain.add("denied:tcp6", "Denied: the client learns at once, and reads \"No route to host\".",
              {over_ipv6(), tcp(), denied, count(), reject_address_unreachable()});
    chain.add("denied",
              "(Over IPv4 by this as well. Over IPv6 a connected UDP socket would not hear of an "
              "unreachable address, and reads \"Permission denied\".)",
              {denied, count(), reject_prohibited()});
    chain.add("scope", "Left are packets that ubfd wasn't asked about,", {jump("scope")});
    if (config.ruleset.allow_without_daemon) {
        chain.add("no_verdict", "and those it was, but didn't answer: this site lets them pass.",
                  {count(), accept()});
    } else {
        chain.add("no_verdict:tcp6", "and those it was, but didn't answer: refused.",
                  {over_ipv6(), tcp(), count(), reject_address_unreachable()});
        chain.add("no_verdict", "", {count(), reject_prohibited()});
    }
    return chain.done();
}

} // namespace ubf::nft
