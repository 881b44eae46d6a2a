#include "nft/chain_builder.hpp"
#include "nft/chains.hpp"

#include <netinet/in.h>

#include <linux/netfilter.h>

namespace ubf::nft {

using namespace statement;

Chain known_chain(const Config& config) {
    ChainBuilder chain(
        "known", "What goes on: nearly all packets, so it comes first. A connection can't begin "
                 "without a SYN; without conntrack, that is all there is to know.");
    chain.add("tcp:established", "", {tcp(), not_syn_without_ack(), ct_established(), accept()});
    if (config.fabric.enabled)
        chain.add("tcp:fabric", "", {tcp(), not_syn_without_ack(), from_fabric(), accept()});
    return chain.done();
}

Chain fabric_known_chain(const Config& config) {
    const Mark& mark = config.mark;
    ChainBuilder chain("fabric_known",
                       "The same of the fabric. Nothing is tracked there: the packets "
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
    ChainBuilder chain(
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

Chain fabric_gate_chain(const Config& config) {
    const Mark& mark = config.mark;
    ChainBuilder chain("fabric_gate", "What ubfd must know of a packet of the fabric.");
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
    ChainBuilder chain(
        "gate",
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

Chain verdict_chain(const Config& config) {
    const Mark& mark = config.mark;
    const auto allowed = mark_is(mark, mark.allow(), "$mark_allow");
    const auto closed = mark_is(mark, mark.closed(), "$mark_closed");
    const auto denied = mark_is(mark, mark.denied(), "$mark_denied");
    ChainBuilder chain("verdict", "Carries out what ubfd wrote into the mark.",
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
