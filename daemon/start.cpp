#include "daemon/start.hpp"

#include "base/node_settings.hpp"
#include "config/key_file.hpp"
#include "daemon/fabric/rdma_judge.hpp"
#include "daemon/ident/identity_files.hpp"
#include "ident/key.hpp"
#include "nft/installer.hpp"
#include "nft/probe.hpp"

#include <cerrno>
#include <utility>

namespace ubf {
namespace {

// If certificates are required, the cluster key proves nobody, and need not be there. A key
// that no other node has takes its place.
KeyRing cluster_keys(const Config& config) {
    if (config.ident.require_certificates)
        return {Key::random(), std::nullopt};
    return load_keys(key_file(config, own_credentials()));
}

} // namespace

Scope watched_scope(const Config& config, const nft::Environment& environment) {
    return scope_of(config, environment.unprivileged_port_start);
}

std::shared_ptr<const RdmaRules> rdma_rules(const Config& config, const Rules& rules) {
    return std::make_shared<const RdmaRules>(
        RdmaRules{config.fabric.rdma, rules.fabric.policy, config.fabric.exempt_ports, rules.terms,
                  rules.deadline, rules.labelled, rules.observed.all});
}

Start prepare(Config config) {
    auto keys = cluster_keys(config);
    nft::Installer installer;
    auto environment = nft::probe(config, installer);
    if (const auto lacks = nft::shortfall(environment); !lacks.empty())
        throw nft::NftError(lacks, EOPNOTSUPP);
    config.queue.count = environment.queue_count;
    auto peers = config.peers.ranges;
    peers.insert(peers.end(), config.fabric.peers.begin(), config.fabric.peers.end());
    auto terms = std::make_shared<const ident::Terms>(
        ident::Terms{config.ident.port, config.ident.clock_skew, std::move(peers), std::move(keys),
                     config.fabric.management, config.portal.peers, load_identities(config)});
    const auto& labels = config.labels;
    if (labels.selinux && !selinux_is_enabled())
        throw ConfigError(
            "labels.selinux is on, but SELinux is not enabled on this node: enable it "
            "(selinux=1 on the kernel's command line), or turn labels.selinux off");
    auto rules =
        std::make_shared<const Rules>(Rules{{config.policy, config.peers.ranges},
                                            {config.fabric_policy(), config.fabric_peers()},
                                            config.observed,
                                            config.fabric.pkeys,
                                            config.ident.deadline,
                                            std::move(terms),
                                            labels.any() || !config.fabric.pkeys.empty(),
                                            labels.selinux,
                                            labels.end_flows});
    return {std::move(config), environment, std::move(rules)};
}

Start with_exceptions(Start start, const std::vector<Exception>& more) {
    auto rules = std::make_shared<Rules>(*start.rules);
    rules->ethernet.policy = start.config.policy;
    rules->fabric.policy = start.config.fabric_policy();
    for (auto* side : {&rules->ethernet, &rules->fabric}) {
        auto& exceptions = side->policy.exceptions;
        exceptions.insert(exceptions.end(), more.begin(), more.end());
    }
    start.rules = std::move(rules);
    return start;
}

} // namespace ubf
