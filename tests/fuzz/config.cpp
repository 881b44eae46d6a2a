// Parses a configuration without looking up names, and makes the ruleset from it.
#include "config/config.hpp"
#include "fuzzer.hpp"
#include "nft/ruleset.hpp"
#include "nft/text.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const auto config =
            ubf::parse_config(ubf::fuzz::text(data, size), "f", ubf::Names::pass_over);
        const auto text = ubf::nft::to_text(ubf::nft::make_ruleset(config, {}));
        ubf::fuzz::require(text.find("flush ruleset") == std::string::npos);
    } catch (const ubf::ConfigError& error) {
        ubf::fuzz::require(std::string_view(error.what()).starts_with("f:"));
    }
    return 0;
}
