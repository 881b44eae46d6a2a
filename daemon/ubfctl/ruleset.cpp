#include "nft/ruleset.hpp"
#include "arguments.hpp"
#include "base/descriptor_names.hpp"
#include "command.hpp"
#include "config/slurm.hpp"
#include "nft/fallback.hpp"
#include "nft/installer.hpp"
#include "nft/probe.hpp"
#include "nft/stand_in.hpp"
#include "nft/text.hpp"

#include <cerrno>
#include <chrono>
#include <exception>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iostream>
#include <systemd/sd-daemon.h>
#include <thread>

namespace ubf::ctl {
namespace {

constexpr std::chrono::seconds patience{5};

// A table that can't be read counts as not owned; the installation then reports the failure.
bool is_owned(nft::Installer& installer) {
    try {
        const auto seen = installer.state();
        return seen && seen->owner != 0;
    } catch (const nft::NftError&) {
        return false;
    }
}

// Throws NftError if only a part could be installed, and says which.
void install(const Config& config) {
    nft::Installer installer;
    if (is_owned(installer)) {
        std::cout << "the table inet ubf is ubfd's own, and stays as it is\n";
        return;
    }
    if (const auto missing = nft::install_most(installer, config); !missing.empty())
        throw nft::NftError(missing, EOPNOTSUPP);
}

// If the administrator's own ruleset is there, nothing is to be done.
void stand_in(const Config& config) {
    nft::Installer installer;
    const auto ruleset = nft::make_ruleset(config, nft::read_environment(config));
    const auto import = nft::look_for_import(installer, ruleset);
    if (!import)
        throw import.error();
    using State = nft::Imported::State;
    if (import->state == State::complete || import->state == State::altered)
        return;
    std::string what = "ruleset.manage is false, and the imported ruleset is gone";
    if (import->state == State::gone)
        what += fmt::format(" (there is no {})", fmt::join(import->missing, ", no "));
    if (import->state == State::gone && !config.ruleset.stand_in)
        throw nft::NftError(what + "; this node is open, as ruleset.when_gone is \"report\". "
                                   "Import the ruleset again with 'nft -f'");
    what += "; ubfd's own stands in. Import the ruleset again with 'nft -f', and include it in "
            "/etc/nftables.conf";
    if (import->state == State::gone)
        if (const auto less = nft::install_most(installer, config, nft::as_stand_in); !less.empty())
            what += fmt::format(". But {}", less);
    throw nft::NftError(what);
}

// Runs before there is a network. If the configuration can't be read, the node must not be open:
// the default ruleset then refuses flows that no ubfd allows.
void install_from(const std::filesystem::path& file) {
    Config config;
    try {
        config = load_config(file, ubf::Names::pass_over);
    } catch (const std::exception&) {
        try {
            install(Config{});
        } catch (const nft::NftError& worse) {
            std::cerr << "ubfctl: " << worse.what() << '\n';
        }
        throw;
    }
    if (config.ruleset.manage)
        install(config);
    else
        stand_in(config);
}

// For ubfd.service, when ubfd is not to come back. The socket that owns the table is still in
// systemd's descriptor store, and nobody can change the table until systemd drops the socket. Does
// nothing elsewhere.
void let_socket_go(nft::Installer& installer) {
    const auto state = fmt::format("FDSTOREREMOVE=1\nFDNAME={}", descriptor::table);
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

// If the table would go with its socket, the same rules stand beside it meanwhile.
void keep(const Config& config) {
    nft::Installer installer;
    const auto seen = installer.state();
    if (!seen || !seen->goes_with_owner())
        return;
    const auto ruleset = nft::make_ruleset(config, nft::probe(config, installer));
    installer.install_stand_in(ruleset);
    let_socket_go(installer);
    installer.install(ruleset);
}

void keep_from(const std::filesystem::path& file) {
    Config config;
    try {
        config = load_config(file, ubf::Names::pass_over);
    } catch (const ConfigError&) {
        keep(Config{}); // the default ruleset refuses flows that no ubfd allows
        throw;
    }
    if (config.ruleset.manage)
        keep(config);
}

void take_away(const std::filesystem::path& file) {
    const auto config = load_config(file, ubf::Names::pass_over);
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
    options.add_options()                                   //
        ("install", "put it there")                         //
        ("remove", "take it away")                          //
        ("keep", "keep it")                                 //
        ("slurm", po::value<std::string>(), "a slurm.conf") //
        ("file", po::value<std::string>()->default_value(default_config));
    po::positional_options_description positions;
    positions.add("file", 1);
    const auto given = parse("ruleset", arguments, options, positions);
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
        auto config = load_config(file, ubf::Names::pass_over);
        if (given.contains("slurm"))
            config.slurm.conf = given["slurm"].as<std::string>();
        if (!config.slurm.conf.empty()) { // to read or to import it, the hosts' names are looked up
            config::add_slurm(config, ubf::Names::look_up);
            for (const auto& warning : config.slurm.warnings)
                std::cerr << fmt::format("# warning: {}\n", warning);
        }
        std::cout << nft::to_text(nft::make_ruleset(config, nft::read_environment(config)));
    }
    return 0;
}

} // namespace ubf::ctl
