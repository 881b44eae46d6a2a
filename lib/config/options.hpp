// Every option of the configuration, defined once: its name, default and meaning, what it sets, and
// whether a reload can change it.
#pragma once

#include "config/value.hpp"

#include <span>
#include <string_view>

namespace ubf::config {

struct Option {
    std::string_view section;
    std::string_view key;
    std::string_view default_value; // as it would stand in the file
    std::string_view help;
    void (*set)(Config& config, const Value& value);
    // Compares the option, which takes effect at a restart only. Null: a reload can change it.
    bool (*needs_restart)(const Config& old, const Config& fresh) = nullptr;
};

std::span<const Option> options();

} // namespace ubf::config
