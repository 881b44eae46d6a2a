#include "nft/ruleset.hpp"

#include "nft/statement.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <net/if.h>
#include <netinet/in.h>
#include <thread>

namespace ubf::nft {
namespace {

using namespace statement;

// --- sets ---

Bytes network(Port port) {
    return {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port & 0xff)};
}

Set::Element element(const PortRange& range) {
    return {network(range.first), network(range.last),
            range.first == range.last ? std::to_string(range.first)
                                      : fmt::format("{}-{}", range.first, range.last)};
}

Set::Element element(const Prefix& prefix) {
    const auto bytes = [&](const Address& address) {
        if (prefix.is_v4())
            return Bytes(address.v4_bytes().begin(), address.v4_bytes().end());
        return Bytes(address.bytes().begin(), address.bytes().end());
    };
    return {bytes(prefix.first()), bytes(prefix.last()), to_string(prefix)};
}

Set::Element element(const std::string& interface) {
    Bytes bytes(IFNAMSIZ);
    std::memcpy(bytes.data(), interface.data(), std::min(interface.size(), bytes.size() - 1));
    return {bytes, bytes, fmt::format("\"{}\"", interface)};
}

Set peers(const Config& config, SetType family, std::string name) {
    Set set{std::move(name), family, {}};
    for (const auto& prefix : config.peers.ranges)
        if (prefix.is_v4() == (family == SetType::ipv4))
            set.elements.push_back(element(prefix));
    return set;
}

Set exempt(const Config& config, bool ProtocolPorts::*protocol, std::string name) {
    Set set{std::move(name), SetType::port, {}};
    for (const auto& ports : config.scope.exempt_ports)
        if (ports.*protocol)
            set.elements.push_back(element(ports.ports));
    return set;
}

Set ports(const Config& config, const Environment& environment) {
    Set set{"ports", SetType::port, {}};
    for (const auto& range : config.scope.ports)
        set.elements.push_back(element(range));
    if (set.elements.empty())
        set.elements.push_back(element(PortRange{environment.unprivileged_port_start, 65535}));
    return set;
}

Set interfaces(const Config& config) {
    Set set{"interfaces", SetType::interface, {}};
    for (const auto& interface : config.scope.interfaces)
        set.elements.push_back(element(interface));
    return set;
}

// --- chains ---

Statement tcp() {
    return protocol(IPPROTO_TCP, "tcp");
}

Statement udp() {
    return protocol(IPPROTO_UDP, "udp");
}

void add_ident(Chain& chain, const Config& config) {
    const Port port = config.ident.port;
    const auto to = destination_port(port, "$ident_port");
    const auto from = source_port(port, "$ident_port");
    chain.rules.push_back({"ident-here",
                           "ubfd asks ubfd, between nodes, from the same privileged port",
                           {on_loopback(true), udp(), to, from, accept()}});
    chain.rules.push_back(
        {"ident-4", "", {source_in(SetType::ipv4, "peers4", false), udp(), to, from, accept()}});
    chain.rules.push_back(
        {"ident-6", "", {source_in(SetType::ipv6, "peers6", false), udp(), to, from, accept()}});
    chain.rules.push_back(
        {"ident-foreign", "nobody else speaks to it", {udp(), to, count(), drop()}});
}

void add_other_protocols(Chain& chain) {
    const std::pair<std::uint8_t, const char*> portful[] = {
        {IPPROTO_DCCP, "dccp"}, {IPPROTO_SCTP, "sctp"}, {IPPROTO_UDPLITE, "udplite"}};
    const char* why = "protocols with ports whose owners nobody can be asked about";
    for (const auto& [number, name] : portful)
        chain.rules.push_back({fmt::format("protocol-{}", name),
                               std::exchange(why, ""),
                               {protocol(number, name), count(), reject_prohibited()}});
    chain.rules.push_back(
        {"other-protocols",
         "ICMP, neighbour discovery and all the rest",
         {protocol_not(IPPROTO_TCP, "tcp"), protocol_not(IPPROTO_UDP, "udp"), accept()}});
}

void add_multicast(Chain& chain) {
    chain.rules.push_back({"multicast-4",
                           "one datagram for many listeners can't be judged by one",
                           {destination_is_multicast(SetType::ipv4), udp(), count(), drop()}});
    chain.rules.push_back(
        {"multicast-6", "", {destination_is_multicast(SetType::ipv6), udp(), count(), drop()}});
    chain.rules.push_back({"broadcast", "", {is_broadcast(), udp(), count(), drop()}});
}

void add_tcp(Chain& chain) {
    chain.rules.push_back({"tcp-syn",
                           "whatever conntrack calls it: two SYNs that cross are a connection too",
                           {tcp(), syn_without_ack(), leave()}});
    chain.rules.push_back({"tcp-invalid", "", {tcp(), ct_invalid(), count(), drop()}});
    chain.rules.push_back({"tcp-other", "without a SYN no connection begins", {tcp(), accept()}});
}

void add_udp(Chain& chain, const Config& config, const Environment& environment) {
    chain.rules.push_back(
        {"udp-allowed",
         "allowed by ubfd before; conntrack's own word is not enough",
         {udp(), ct_mark_is(config.mark, config.mark.allow(), "$mark_allow"), accept()}});
    chain.rules.push_back({"udp-outside-4",
                           "answers from beyond the peers, where no ubfd is",
                           {on_loopback(false), source_in(SetType::ipv4, "peers4", true), udp(),
                            ct_reply(), accept()}});
    chain.rules.push_back({"udp-outside-6",
                           "",
                           {on_loopback(false), source_in(SetType::ipv6, "peers6", true), udp(),
                            ct_reply(), accept()}});
    const Port start = environment.unprivileged_port_start;
    if (start == 0)
        return;
    const auto privileged = source_port_below(start, "$unprivileged_ports");
    chain.rules.push_back({"udp-system-here",
                           "answers from ports that only root can hold",
                           {on_loopback(true), udp(), privileged, ct_reply(), accept()}});
    chain.rules.push_back(
        {"udp-system-4",
         "",
         {source_in(SetType::ipv4, "peers4", false), udp(), privileged, ct_reply(), accept()}});
    chain.rules.push_back(
        {"udp-system-6",
         "",
         {source_in(SetType::ipv6, "peers6", false), udp(), privileged, ct_reply(), accept()}});
}

Chain scope(const Config& config, const Environment& environment) {
    Chain chain{"scope",
                "Lets go what ubfd is not asked about; what comes back from here is. Both base "
                "chains go through it, so they can't disagree.",
                std::nullopt,
                {}};
    if (!config.scope.interfaces.empty())
        chain.rules.push_back({"interfaces", "", {interface_in("interfaces", true), accept()}});
    add_ident(chain, config);
    add_other_protocols(chain);
    chain.rules.push_back({"ports", "", {destination_port_in("ports", true), accept()}});
    chain.rules.push_back(
        {"exempt-tcp", "", {tcp(), destination_port_in("exempt_tcp", false), accept()}});
    chain.rules.push_back(
        {"exempt-udp", "", {udp(), destination_port_in("exempt_udp", false), accept()}});
    add_multicast(chain);
    add_tcp(chain);
    add_udp(chain, config, environment);
    return chain;
}

Chain gate(const Config& config, const Environment& environment) {
    Chain chain{"gate",
                "Hands the first packet of a flow to ubfd. With bypass: without ubfd it goes on, "
                "unmarked, and the verdict chain refuses it.",
                0,
                {}};
    chain.rules.push_back({"clear", "", {set_mark(config.mark, 0, "")}});
    chain.rules.push_back({"gate-scope", "", {jump("scope")}});
    chain.rules.push_back(
        {"direction",
         "ubfd must know which end began",
         {udp(), ct_reply(), set_mark(config.mark, config.mark.reply(), "$mark_reply")}});
    chain.rules.push_back(
        {"queue",
         "",
         {queue(config.queue.first, environment.queue_count, environment.queue_expression)}});
    return chain;
}

Chain verdict(const Config& config) {
    const Mark& mark = config.mark;
    Chain chain{"verdict", "Carries out what ubfd wrote into the mark.", 1, {}};
    auto& rules = chain.rules;
    rules.push_back({"allow-udp",
                     "the flow's next packets stay in the kernel",
                     {udp(), mark_is(mark, mark.allow(), "$mark_allow"),
                      set_ct_mark(mark, mark.allow(), "$mark_allow"), accept()}});
    rules.push_back({"allow", "", {mark_is(mark, mark.allow(), "$mark_allow"), accept()}});
    rules.push_back(
        {"closed-tcp",
         "nobody listens: as a closed port answers",
         {tcp(), mark_is(mark, mark.closed(), "$mark_closed"), count(), reject_reset()}});
    rules.push_back({"closed-udp",
                     "",
                     {udp(), mark_is(mark, mark.closed(), "$mark_closed"), count(),
                      reject_port_unreachable()}});
    rules.push_back({"denied",
                     "",
                     {mark_is(mark, mark.denied(), "$mark_denied"), count(), reject_prohibited()}});
    rules.push_back({"verdict-scope", "", {jump("scope")}});
    if (config.ruleset.allow_without_daemon)
        rules.push_back({"no-verdict", "no ubfd: this site lets it pass", {count(), accept()}});
    else
        rules.push_back({"no-verdict", "no ubfd: refused at once", {count(), reject_prohibited()}});
    return chain;
}

// --- the variables of the text ---

std::string hex(std::uint32_t value) {
    return fmt::format("0x{:08x}", value);
}

std::vector<Variable> variables(const Config& config, const Environment& environment) {
    const Mark& mark = config.mark;
    const unsigned first = config.queue.first;
    const unsigned last = first + environment.queue_count - 1u;
    return {
        {"queues", first == last ? std::to_string(first) : fmt::format("{}-{}", first, last),
         "netfilter queues that ubfd reads"},
        {"ident_port", std::to_string(config.ident.port), "ubfd asks ubfd"},
        {"unprivileged_ports", std::to_string(environment.unprivileged_port_start),
         "net.ipv4.ip_unprivileged_port_start"},
        {"mark_mask", hex(mark.mask), "three bits of the mark that are ubfd's"},
        {"mark_others", hex(~mark.mask), "and all others"},
        {"mark_allow", hex(mark.allow()), "what ubfd writes into them"},
        {"mark_closed", hex(mark.closed()), ""},
        {"mark_denied", hex(mark.denied()), ""},
        {"mark_reply", hex(mark.reply()), "what the gate writes into them"},
    };
}

} // namespace

std::string_view to_string(QueueExpression expression) {
    return expression == QueueExpression::native ? "nft queue" : "xt NFQUEUE";
}

Ruleset make_ruleset(const Config& config, const Environment& environment) {
    return {variables(config, environment),
            {interfaces(config), peers(config, SetType::ipv4, "peers4"),
             peers(config, SetType::ipv6, "peers6"), ports(config, environment),
             exempt(config, &ProtocolPorts::tcp, "exempt_tcp"),
             exempt(config, &ProtocolPorts::udp, "exempt_udp")},
            {scope(config, environment), gate(config, environment), verdict(config)}};
}

Environment read_environment(const Config& config) {
    constexpr unsigned most_queues_by_default = 4;
    Environment environment;
    unsigned start = 0;
    if (std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> start && start <= 65535)
        environment.unprivileged_port_start = static_cast<Port>(start);
    const auto cpus = std::max(1u, std::thread::hardware_concurrency());
    environment.queue_count =
        config.queue.count != 0
            ? config.queue.count
            : static_cast<std::uint16_t>(std::min(cpus, most_queues_by_default));
    return environment;
}

} // namespace ubf::nft
