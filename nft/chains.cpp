#include "nft/chains.hpp"

#include "nft/statement.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <utility>

namespace ubf::nft {
namespace {

using namespace statement;

// Fills a chain and makes the rules' ids.
class Builder {
  public:
    Builder(std::string name, std::string why, std::optional<std::int32_t> priority = {})
      : chain_{std::move(name), std::move(why), priority, {}} {}

    void add(std::string_view name, std::string why, std::vector<Statement> statements) {
        chain_.rules.push_back(
            {fmt::format("ubf:{}:{}", chain_.name, name), std::move(why), std::move(statements)});
    }

    // One rule for each family's peers, or for all who are none.
    void add_for_peers(std::string_view name, std::string why, bool outside,
                       const std::vector<Statement>& statements) {
        const std::pair<SetType, const char*> families[] = {{SetType::ipv4, "4"},
                                                            {SetType::ipv6, "6"}};
        for (const auto& [family, digit] : families) {
            std::vector<Statement> all;
            if (outside)
                all.push_back(on_loopback(false));
            all.push_back(source_in(family, fmt::format("peers{}", digit), outside));
            all.insert(all.end(), statements.begin(), statements.end());
            add(fmt::format("{}:ipv{}", name, digit), std::exchange(why, {}), std::move(all));
        }
    }

    Chain done() { return std::move(chain_); }

  private:
    Chain chain_;
};

Statement from_privileged(const Environment& environment) {
    return source_port_below(environment.unprivileged_port_start, "$unprivileged_port_start");
}

// Only root can hold a privileged port. Where the ident port itself isn't one, no port below is
// better: then it must be the ident port, which is taken while ubfd runs there.
Statement from_ident(const Config& config, const Environment& environment) {
    return config.ident.port < environment.unprivileged_port_start
               ? from_privileged(environment)
               : source_port(config.ident.port, "$ident_port");
}

void add_ident(Builder& chain, const Config& config, const Environment& environment) {
    const auto to_ident = destination_port(config.ident.port, "$ident_port");
    const auto from = from_ident(config, environment);
    chain.add("ident:lo",
              "ubfd asks ubfd, on this node and between peers, from ports that only root can hold.",
              {on_loopback(true), udp(), to_ident, from, accept()});
    chain.add_for_peers("ident", "", false, {udp(), to_ident, from, accept()});
    chain.add("ident_foreign", "Nobody else speaks to it.", {udp(), to_ident, count(), drop()});
}

void add_other_protocols(Builder& chain) {
    const std::pair<std::uint8_t, const char*> with_ports[] = {
        {IPPROTO_DCCP, "dccp"}, {IPPROTO_SCTP, "sctp"}, {IPPROTO_UDPLITE, "udplite"}};
    const char* why = "Protocols with ports, but ubfd can't find out whose they are: refused.";
    for (const auto& [number, name] : with_ports)
        chain.add(fmt::format("protocols:{}", name), std::exchange(why, ""),
                  {protocol(number, name), count(), reject_prohibited()});
    chain.add("other_protocols", "ICMP, neighbour discovery and all the rest: not touched.",
              {protocol_not(IPPROTO_TCP, "tcp"), protocol_not(IPPROTO_UDP, "udp"), accept()});
}

void add_ports(Builder& chain) {
    chain.add("ports", "Ports that nobody asked ubfd to watch.",
              {destination_port_in("ports", true), accept()});
    chain.add("exempt:tcp", "Ports that are open to everybody.",
              {tcp(), destination_port_in("exempt_tcp", false), accept()});
    chain.add("exempt:udp", "", {udp(), destination_port_in("exempt_udp", false), accept()});
    chain.add("udp_reply:ports", "What was sent to such a port may be answered from there.",
              {udp(), ct_reply(), ct_established(), source_port_in("ports", true), accept()});
    chain.add("udp_reply:exempt", "",
              {udp(), ct_reply(), ct_established(), source_port_in("exempt_udp", false), accept()});
}

void add_multicast(Builder& chain) {
    chain.add("multicast:ipv4",
              "One datagram for many listeners: whatever one of them says, the others get it too.",
              {destination_is_multicast(SetType::ipv4), udp(), count(), drop()});
    chain.add("multicast:ipv6", "",
              {destination_is_multicast(SetType::ipv6), udp(), count(), drop()});
    chain.add("multicast:frame", "", {link_broadcast(), udp(), count(), drop()});
    chain.add("multicast:route", "On loopback no frame is a broadcast, but an address can be.",
              {udp(), destination_is_broadcast(), count(), drop()});
}

void add_tcp(Builder& chain) {
    chain.add("syn",
              "What can begin a connection is asked about, whatever conntrack calls it: two SYNs "
              "that cross make one too.",
              {tcp(), syn_without_ack(), leave()});
    chain.add("invalid", "", {tcp(), ct_invalid(), count(), drop()});
    chain.add("tcp", "All other TCP is of connections that were allowed, or older than this table.",
              {tcp(), accept()});
}

void add_udp(Builder& chain, const Config& config, const Environment& environment) {
    chain.add("udp_allowed",
              "Flows that ubfd allowed. What conntrack calls a reply is not enough: two users who "
              "send at once make replies of each other's packets.",
              {udp(), ct_mark_is(config.mark, config.mark.allow(), "$mark_allow"), accept()});
    chain.add_for_peers("udp_outside", "Answers from beyond the peers, where no ubfd is.", true,
                        {udp(), ct_reply(), ct_established(), accept()});
    // Where every port is anybody's, a low port proves nothing.
    if (environment.unprivileged_port_start == 0)
        return;
    const std::vector<Statement> answer{udp(), ct_reply(), ct_established(),
                                        from_privileged(environment), accept()};
    auto here = answer;
    here.insert(here.begin(), on_loopback(true));
    chain.add("udp_system:lo", "Answers of system services: from ports that only root can hold.",
              std::move(here));
    chain.add_for_peers("udp_system", "", false, answer);
}

} // namespace

Chain scope_chain(const Config& config, const Environment& environment) {
    Builder chain("scope",
                  "Lets go what ubfd is not asked about; what returns from here, it is. Both base "
                  "chains go through it, so that they can't disagree. (It sees a packet twice, and "
                  "counts only what ends here.)");
    if (!config.scope.interfaces.empty())
        chain.add("interfaces", "Interfaces that nobody asked ubfd to watch.",
                  {interface_in("interfaces", true), accept()});
    add_ident(chain, config, environment);
    add_other_protocols(chain);
    add_ports(chain);
    add_multicast(chain); // behind the exempt ports, or multicast DNS could not be exempt
    add_tcp(chain);
    add_udp(chain, config, environment);
    return chain.done();
}

Chain gate_chain(const Config& config, const Environment& environment) {
    Builder chain("gate",
                  "Hands the first packet of a flow to ubfd. With bypass: without ubfd it goes on, "
                  "unmarked, and the verdict chain refuses it.",
                  0);
    chain.add("clear", "Nobody else's mark is taken for ubfd's word.",
              {set_mark(config.mark, 0, "")});
    chain.add("scope", "", {jump("scope")});
    chain.add("direction", "ubfd must know which end began.",
              {udp(), ct_reply(), set_mark(config.mark, config.mark.reply(), "$mark_reply")});
    chain.add("queue", "",
              {queue(config.queue.first, environment.queue_count, environment.queue_expression)});
    return chain.done();
}

Chain verdict_chain(const Config& config) {
    const Mark& mark = config.mark;
    const auto allowed = mark_is(mark, mark.allow(), "$mark_allow");
    const auto closed = mark_is(mark, mark.closed(), "$mark_closed");
    const auto denied = mark_is(mark, mark.denied(), "$mark_denied");
    Builder chain("verdict", "Carries out what ubfd wrote into the mark.", 1);
    chain.add("allow:udp", "Allowed; the next packets of a UDP flow stay in the kernel.",
              {udp(), allowed, set_ct_mark(mark, mark.allow(), "$mark_allow"), accept()});
    chain.add("allow", "", {allowed, accept()});
    chain.add("closed:tcp", "Nobody listens: as a closed port answers.",
              {tcp(), closed, count(), reject_reset()});
    chain.add("closed:udp", "", {udp(), closed, count(), reject_port_unreachable()});
    chain.add("denied", "Denied: the client learns at once, EHOSTUNREACH (IPv4) or EACCES (IPv6).",
              {denied, count(), reject_prohibited()});
    chain.add("scope", "Left are packets that ubfd wasn't asked about,", {jump("scope")});
    if (config.ruleset.allow_without_daemon)
        chain.add("no_verdict", "and those it was, but didn't answer: this site lets them pass.",
                  {count(), accept()});
    else
        chain.add("no_verdict", "and those it was, but didn't answer: refused.",
                  {count(), reject_prohibited()});
    return chain.done();
}

} // namespace ubf::nft
