#include "nft/fallback.hpp"

#include "nft/chains.hpp"
#include "nft/probe.hpp"
#include "nft/statement.hpp"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <netinet/in.h>
#include <utility>
#include <variant>

namespace ubf::nft {
namespace {

using namespace statement;

constexpr Port last_port = 65535;

// An empty result: the kernel can't run the rule.
std::vector<Statement> reduced(const std::vector<Statement>& statements,
                               const std::vector<std::string>& lacks) {
    std::vector<Statement> left;
    for (const auto& one : statements) {
        const auto missing =
            std::ranges::find_if(one.expressions, [&](const Expression& expression) {
                return std::ranges::find(lacks, modules(expression)) != lacks.end();
            });
        if (missing == one.expressions.end())
            left.push_back(one);
        else if (std::holds_alternative<Reject>(*missing))
            left.push_back(drop());
        else if (!std::holds_alternative<Count>(*missing))
            return {};
    }
    return left;
}

using Statements = std::vector<Statement>;

// Fills the chain of the last resort.
class LastResort {
  public:
    explicit LastResort(Chain chain)
      : chain_(std::move(chain)) {
        chain_.why = "The last resort: refuses whatever begins.";
        chain_.rules.clear();
    }

    void add(Statements statements) {
        chain_.rules.push_back(
            {fmt::format("ubf:{}:last_resort:{}", chain_.name, chain_.rules.size()), "",
             std::move(statements)});
    }

    // Adds the rules for packets that match `where`, or for all.
    void add_side(const Statements& where, std::vector<PortRange> watched,
                  const std::vector<ProtocolPorts>& exempt, const Environment& environment) {
        for (const auto& ports : exempt) {
            if (ports.tcp)
                add_ports(where, tcp(), ports.ports, accept());
            if (ports.udp)
                add_ports(where, udp(), ports.ports, accept());
        }
        if (watched.empty())
            watched = {{environment.unprivileged_port_start, last_port}};
        for (const auto& ports : watched)
            for (const auto& protocol : {tcp(), udp()})
                add_ports(where, protocol, ports, drop());
    }

    Chain done() { return std::move(chain_); }

  private:
    void add_ports(Statements where, const Statement& protocol, PortRange ports,
                   const Statement& end) {
        where.push_back(protocol);
        where.push_back(destination_port_from(ports.first));
        where.push_back(destination_port_to(ports.last));
        where.push_back(end);
        add(std::move(where));
    }

    Chain chain_;
};

// Describes an installed ruleset that refuses, but with which ubfd can't work.
std::string refuses(std::string_view why) {
    return fmt::format("{}. Until then a smaller ruleset is in place, which refuses every new "
                       "connection to a watched port",
                       why);
}

} // namespace

Ruleset reduced(Ruleset ruleset, const std::vector<std::string>& lacks) {
    for (auto& chain : ruleset.chains) {
        for (auto& rule : chain.rules)
            rule.statements = reduced(rule.statements, lacks);
        std::erase_if(chain.rules, [](const Rule& rule) { return rule.statements.empty(); });
    }
    return ruleset;
}

Ruleset last_resort(const Config& config, const Environment& environment) {
    LastResort chain(verdict_chain(config)); // under its name, so that ubfd's own replaces it
    chain.add({tcp(), not_syn_without_ack(), accept()});
    using Named = std::pair<std::uint8_t, const char*>;
    for (const auto& [number, name] : {Named{IPPROTO_DCCP, "dccp"}, Named{IPPROTO_SCTP, "sctp"},
                                       Named{IPPROTO_UDPLITE, "udplite"}})
        chain.add({protocol(number, name), drop()});
    if (const auto& fabric = config.fabric; fabric.enabled) {
        chain.add_side({from_fabric()}, fabric.ports, fabric.exempt_ports, environment);
        chain.add({from_fabric(), accept()});
    }
    chain.add_side({}, config.scope.ports, config.scope.exempt_ports, environment);
    return {{}, {}, {chain.done()}};
}

std::string install_most(Installer& installer, const Config& config, Ruleset (*shape)(Ruleset)) {
    const auto environment = read_environment(config);
    try {
        const auto found = probe(config, installer);
        const auto ruleset = make_ruleset(config, found);
        installer.install(reduced(shape != nullptr ? shape(ruleset) : ruleset, found.lacks));
        const auto lacks = shortfall(found);
        return lacks.empty() ? lacks : refuses(lacks);
    } catch (const std::exception& error) {
        if (config.ruleset.allow_without_daemon || config.observed.all)
            throw; // the site prefers an open node
        try {
            installer.install_afresh(last_resort(config, environment));
        } catch (const NftError& worse) {
            throw NftError(
                fmt::format("{}; not even a small ruleset could be installed, so NOTHING "
                            "IS REFUSED on this node: {}",
                            error.what(), worse.what()),
                worse.code());
        }
        return refuses(error.what());
    }
}

} // namespace ubf::nft
