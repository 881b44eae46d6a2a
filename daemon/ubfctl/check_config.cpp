#include "arguments.hpp"
#include "base/interfaces.hpp"
#include "base/node_settings.hpp"
#include "base/text.hpp"
#include "config/config.hpp"
#include "config/key_file.hpp"
#include "ident/key.hpp"
#include "nft/connection.hpp"
#include "nft/neighbours.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sysexits.h>

namespace ubf::ctl {
namespace {

using Strings = std::vector<std::string>;

// As ubfd would find the key. systemd keeps the credentials of a service there while it runs.
KeyFile find_key(const Config& config) {
    return key_file(config, own_credentials().value_or("/run/credentials/ubfd.service"));
}

std::string key_text(const Config& config, const KeyFile& key) {
    if (config.ident.require_certificates)
        return "certificates are required, so no cluster key is read";
    if (!key.is_credential)
        return {};
    std::error_code error;
    const bool two = std::filesystem::exists(config.ident.key_file, error);
    return fmt::format("the key is the credential {}, as of the last start of ubfd{}",
                       key.path.string(),
                       two ? fmt::format("; {} is not read", config.ident.key_file.string()) : "");
}

// A bad key is a mistake. A missing or unreadable one is only a warning: anyone may check a
// configuration, also another node's. Returns the warning, or nothing.
std::string check_key(const Config& config, const KeyFile& key) {
    if (config.ident.require_certificates)
        return {};
    try {
        load_keys(key);
    } catch (const KeyError& error) {
        const bool elsewhere =
            error.code() == ENOENT || error.code() == EACCES || error.code() == EPERM;
        if (!elsewhere)
            throw ConfigError(fmt::format("ident.key_file: {}", error.what()));
        return fmt::format("ident.key_file: {}; without it ubfd does not start{}", error.what(),
                           error.code() == ENOENT
                               ? ", unless its service has a credential ident.key"
                               : ", nor can it be checked; try again as root");
    }
    return {};
}

Strings doubts_of(const Config& config) {
    auto doubts = warnings(config);
    for (auto& doubt : interface_warnings(config, interface_names()))
        doubts.push_back(std::move(doubt));
    if (config.labels.selinux && !selinux_is_enabled())
        doubts.push_back("labels.selinux is on, but SELinux is not enabled on this node, where "
                         "ubfd would not start with it");
    return doubts;
}

// Rules of other tables that can refuse flows, as far as this user may read them.
Strings others() {
    auto found = nft::legacy_tables();
    try {
        nft::Connection connection;
        const auto others = nft::refusals_of_others(connection).value_or(Strings());
        found.insert(found.end(), others.begin(), others.end());
    } catch (const nft::NftError&) {
    }
    return found;
}

std::string summary(const Config& config) {
    const auto present = interface_names();
    const auto watched = std::ranges::count_if(
        present, [&](const auto& name) { return config.scope.interfaces.watches(name); });
    return fmt::format("{} peer ranges, {} exempt listeners, {} exempt connectors, {} exempt "
                       "ports, {} of this node's {} interfaces watched",
                       config.peers.ranges.size(), config.policy.exempt_listeners.size(),
                       config.policy.exempt_connectors.size(), config.scope.exempt_ports.size(),
                       watched, present.size());
}

} // namespace

int check_config(const Globals& globals, const Arguments& arguments) {
    const auto file = file_argument("check-config", arguments, default_config);
    try {
        const auto config = load_config(file);
        const auto doubts = doubts_of(config);
        const auto key_file = find_key(config);
        const auto key = check_key(config, key_file);
        if (globals.json) {
            const nlohmann::ordered_json answer{{"ok", true},
                                                {"file", file.string()},
                                                {"warnings", doubts},
                                                {"key", key},
                                                {"key_file", key_file.path.string()},
                                                {"others", others()}};
            std::cout << answer.dump() << '\n';
        } else {
            std::cout << fmt::format("{}: good; {}\n", file.string(), summary(config));
            if (const auto text = key_text(config, key_file); !text.empty())
                std::cout << fmt::format("{}: {}\n", file.string(), text);
            for (const auto& doubt : doubts)
                std::cout << fmt::format("{}: warning: {}\n", file.string(), doubt);
            if (!key.empty())
                std::cout << fmt::format("{}: warning: {}\n", file.string(), key);
            for (const auto& other : others())
                std::cout << fmt::format("beside: {}\n", other);
        }
        return EX_OK;
    } catch (const ConfigError& error) {
        if (!globals.json)
            throw;
        Strings mistakes;
        for (std::string_view rest = error.what(); !rest.empty();)
            mistakes.emplace_back(split(rest, '\n'));
        const nlohmann::ordered_json answer{
            {"ok", false}, {"error", error.what()}, {"mistakes", mistakes}};
        std::cout << answer.dump() << '\n';
        return EX_CONFIG;
    }
}

} // namespace ubf::ctl
