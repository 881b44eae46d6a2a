// The section [identity]: this node's own key, and whom the nodes of each class may speak for.
#pragma once

#include "config/value.hpp"
#include "identity/keys.hpp"
#include "identity/vouching.hpp"

namespace ubf::config {

// "ubf-authority-1 HEX", two at most.
std::vector<identity::VerifyKey> authorities(const Value& value);
// [identity.classes.compute] users = ["1000-59999"], vouch = "jobs"
void read_classes(Config& config, const Reading& reading, const toml::node& node);
// A node without a key of its own has none of the rest. Throws ConfigError.
void check_identity(const Config& config, const toml::table& root, const std::string& file);

} // namespace ubf::config
