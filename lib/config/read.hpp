// The configuration from parsed TOML.
#pragma once

#include "config/config.hpp"

#include <string>
#include <toml++/toml.h>

namespace ubf::config {

// file: its name, for nodes that do not say where they stand. Throws ConfigError.
Config read(const toml::table& root, const std::string& file, Names names,
            const SlurmTexts& texts = {});

} // namespace ubf::config
