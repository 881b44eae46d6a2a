#include "nft/ruleset.hpp"
#include "command.hpp"
#include "nft/installer.hpp"
#include "nft/text.hpp"

#include <boost/program_options.hpp>
#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <iostream>
#include <systemd/sd-daemon.h>
#include <thread>

namespace ubf::ctl {
namespace {

constexpr const char* table_socket_name = "table"; // as ubfd's daemon.cpp has it
constexpr std::chrono::seconds patience{5};

nft::Ruleset make(const Config& config, nft::Installer& installer) {
    auto environment = nft::read_environment(config);
    environment.queue_expression = installer.probe_queue_expression();
    return nft::make_ruleset(config, environment);
}

void install(const Config& config) {
    nft::Installer installer;
    if (const auto seen = installer.state(); seen && seen->owner != 0) {
        std::cout << "the table inet ubf is ubfd's own, and stays as it is\n";
        return;
    }
    installer.install(make(config, installer));
}

// Calls `use` with the configuration. One that can't be read is no reason to leave the node open:
// what no ubfd allows is refused then, by the default ruleset.
void with_config(const std::filesystem::path& file, const std::function<void(const Config&)>& use) {
    Config config;
    try {
        config = load_config(file, Names::pass_over);
    } catch (const ConfigError&) {
        use(Config{});
        throw;
    }
    use(config);
}

// Before there is a network.
void install_from(const std::filesystem::path& file) {
    with_config(file, [](const Config& config) {
        if (config.ruleset.manage)
            install(config);
    });
}

// For ubfd.service, when ubfd is not to come back: the socket that owns the table is in systemd's
// descriptor store still, and nobody can change the table before it is not. Does nothing elsewhere.
void let_socket_go(nft::Installer& installer) {
    const auto state = fmt::format("FDSTOREREMOVE=1\nFDNAME={}", table_socket_name);
    if (::sd_notify(0, state.c_str()) <= 0)
        return;
    const auto end = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < end) {
        const auto seen = installer.state();
        if (!seen || seen->owner == 0)
            return;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

// Where the table would go with its socket, the same rules stand beside it meanwhile.
void keep(const Config& config) {
    nft::Installer installer;
    const auto seen = installer.state();
    if (!seen || !seen->goes_with_owner())
        return;
    const auto ruleset = make(config, installer);
    installer.install_stand_in(ruleset);
    let_socket_go(installer);
    installer.install(ruleset);
}

void keep_from(const std::filesystem::path& file) {
    with_config(file, [](const Config& config) {
        if (config.ruleset.manage)
            keep(config);
    });
}

void take_away(const std::filesystem::path& file) {
    const auto config = load_config(file, Names::pass_over);
    if (!config.ruleset.manage)
        return;
    if (config.ruleset.keep_on_stop)
        return keep(config);
    nft::Installer installer;
    let_socket_go(installer);
    installer.remove();
}

} // namespace

int ruleset(const Globals&, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()           //
        ("install", "put it there") //
        ("remove", "take it away")  //
        ("keep", "keep it")         //
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
    if (given.count("install") + given.count("remove") + given.count("keep") > 1)
        throw UsageError("ruleset: either --install, --keep or --remove");
    if (given.contains("install")) {
        install_from(file);
    } else if (given.contains("remove")) {
        take_away(file);
    } else if (given.contains("keep")) {
        keep_from(file);
    } else {
        const auto config = load_config(file, Names::pass_over);
        std::cout << nft::to_text(nft::make_ruleset(config, nft::read_environment(config)));
    }
    return 0;
}

} // namespace ubf::ctl
