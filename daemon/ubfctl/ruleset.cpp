#include "nft/ruleset.hpp"
#include "command.hpp"
#include "nft/installer.hpp"
#include "nft/text.hpp"

#include <boost/program_options.hpp>
#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {
namespace {

void install(const Config& config) {
    nft::Installer installer;
    auto environment = nft::read_environment(config);
    environment.queue_expression = installer.probe_queue_expression();
    installer.install(nft::make_ruleset(config, environment));
}

// Before there is a network. A configuration that can't be read is no reason to leave the node
// open: what no ubfd allows is refused then, by the default ruleset.
void install_from(const std::filesystem::path& file) {
    Config config;
    try {
        config = load_config(file, Names::pass_over);
    } catch (const ConfigError&) {
        install(Config{});
        throw;
    }
    if (config.ruleset.manage)
        install(config);
}

void take_away(const std::filesystem::path& file) {
    const auto config = load_config(file, Names::pass_over);
    if (config.ruleset.manage && !config.ruleset.keep_on_stop)
        nft::Installer().remove();
}

} // namespace

int ruleset(const Globals&, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()           //
        ("install", "put it there") //
        ("remove", "take it away")  //
        ("file", po::value<std::string>()->default_value(default_config));
    po::positional_options_description positions;
    positions.add("file", 1);
    po::variables_map given;
    try {
        po::store(po::command_line_parser(arguments).options(options).positional(positions).run(),
                  given);
    } catch (const po::error& error) {
        throw UsageError(fmt::format("ruleset: {}", error.what()));
    }
    const std::filesystem::path file = given["file"].as<std::string>();
    if (given.contains("install") && given.contains("remove"))
        throw UsageError("ruleset: either --install or --remove");
    if (given.contains("install")) {
        install_from(file);
    } else if (given.contains("remove")) {
        take_away(file);
    } else {
        const auto config = load_config(file, Names::pass_over);
        std::cout << nft::to_text(nft::make_ruleset(config, nft::read_environment(config)));
    }
    return 0;
}

} // namespace ubf::ctl
