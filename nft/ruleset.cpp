#include "nft/ruleset.hpp"

#include "nft/chains.hpp"
#include "nft/sets.hpp"
#include "nft/statement.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <string_view>
#include <thread>
#include <utility>

namespace ubf::nft {
namespace {

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
        {"ident_port", std::to_string(config.ident.port), "UDP port where ubfd asks ubfd"},
        {"unprivileged_port_start", std::to_string(environment.unprivileged_port_start),
         "net.ipv4.ip_unprivileged_port_start"},
        {"mark_mask", hex(mark.mask), "three bits of the packet mark are ubfd's"},
        {"mark_others", hex(~mark.mask), "all others stay as they are"},
        {"mark_allow", hex(mark.allow()), "ubfd: let it pass"},
        {"mark_closed", hex(mark.closed()), "ubfd: nobody listens"},
        {"mark_denied", hex(mark.denied()), "ubfd: refuse it"},
        {"mark_reply", hex(mark.reply()), "gate, to ubfd: the flow began at this end"},
        {"mark_fabric", hex(mark.fabric()), "gate, to ubfd: it came over the fabric"},
        {"mark_fabric_reply", hex(mark.fabric_reply()), "both"},
        {"mark_translated", hex(mark.translated()), "gate, to ubfd: by NAT, here"},
        {"roce_port", "4791", "UDP port of RoCE, RDMA over Ethernet"},
    };
}

} // namespace

std::string_view to_string(QueueExpression expression) {
    return expression == QueueExpression::native ? "nft queue" : "xt NFQUEUE";
}

std::string counter_name(std::string_view rule_id) {
    constexpr std::string_view ours = "ubf:";
    if (!rule_id.starts_with(ours))
        return {};
    rule_id.remove_prefix(ours.size());
    const auto after_chain = rule_id.find(':');
    if (after_chain == std::string_view::npos)
        return {};
    rule_id.remove_prefix(after_chain + 1);
    return std::string(rule_id.substr(0, rule_id.find(':')));
}

namespace {

bool refuses(const Statement& statement) {
    static const auto dropping = statement::drop().text;
    return statement.text.starts_with("reject") || statement.text == dropping;
}

// The counters still tell what would be refused. ident alone stays closed to strangers.
Ruleset observing(Ruleset ruleset) {
    for (auto& chain : ruleset.chains)
        for (auto& rule : chain.rules)
            if (counter_name(rule.id) != "ident_foreign")
                std::ranges::replace_if(rule.statements, refuses, statement::accept());
    return ruleset;
}

} // namespace

Ruleset make_ruleset(const Config& config, const Environment& environment) {
    Ruleset ruleset{variables(config, environment),
                    make_sets(config, environment),
                    {known_chain(config),
                     fabric_known_chain(config),
                     udp_known_chain(config),
                     multicast_chain(),
                     fabric_chain(config, environment),
                     slurm_chain(config),
                     scope_chain(config, environment),
                     fabric_gate_chain(config),
                     gate_chain(config, environment),
                     verdict_chain(config),
                     fabric_in_chain(config),
                     fabric_out_chain(config),
                     fabric_unlisted_chain(config),
                     unlisted_chain(config),
                     untracked_out_chain(config),
                     datagrams_out_chain(config, environment),
                     over_limit_chain(config),
                     connections_out_chain(config),
                     protocols_out_chain(config),
                     not_local_chain(),
                     outbound_deny_chain(config),
                     output_chain(config)}};
    return config.observed.all ? observing(std::move(ruleset)) : ruleset;
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
