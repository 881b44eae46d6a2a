// All that ubfd derives from its configuration before it changes anything.
#pragma once

#include "config/config.hpp"
#include "config/scope.hpp"
#include "daemon/gate/rules.hpp"
#include "nft/ruleset.hpp"

#include <memory>
#include <vector>

namespace ubf {

struct RdmaRules;

struct Start {
    Config config;
    nft::Environment environment;
    std::shared_ptr<const Rules> rules;
};

// Does all that a bad configuration can make fail. Throws ConfigError, KeyError, NftError.
Start prepare(Config config);
// The same start, with these exceptions beside those of the configuration.
Start with_exceptions(Start start, const std::vector<Exception>& more);

Scope watched_scope(const Config& config, const nft::Environment& environment);
std::shared_ptr<const RdmaRules> rdma_rules(const Config& config, const Rules& rules);

} // namespace ubf
