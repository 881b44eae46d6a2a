#include "base/interfaces.hpp"
#include "command.hpp"
#include "config/config.hpp"

#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sysexits.h>

namespace ubf::ctl {

int check_config(const Globals& globals, const Arguments& arguments) {
    const auto file = file_argument(arguments, default_config);
    try {
        const auto config = load_config(file);
        auto doubts = warnings(config);
        for (auto& doubt : interface_warnings(config, interface_names()))
            doubts.push_back(std::move(doubt));
        if (globals.json) {
            std::cout << nlohmann::ordered_json{{"ok", true},
                                                {"file", file.string()},
                                                {"warnings", doubts}}
                             .dump()
                      << '\n';
        } else {
            std::cout << fmt::format(
                "{}: good; {} peer ranges, {} exempt listeners, {} exempt "
                "connectors, {} exempt ports\n",
                file.string(), config.peers.ranges.size(), config.policy.exempt_listeners.size(),
                config.policy.exempt_connectors.size(), config.scope.exempt_ports.size());
            for (const auto& doubt : doubts)
                std::cout << fmt::format("{}: warning: {}\n", file.string(), doubt);
        }
        return EX_OK;
    } catch (const ConfigError& error) {
        if (!globals.json)
            throw;
        std::cout << nlohmann::ordered_json{{"ok", false}, {"error", error.what()}}.dump() << '\n';
        return EX_CONFIG;
    }
}

} // namespace ubf::ctl
