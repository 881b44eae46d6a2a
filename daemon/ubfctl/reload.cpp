// `ubfctl reload`: has ubfd read its configuration anew, and says what changed.
#include "client.hpp"
#include "command.hpp"

#include <fmt/format.h>
#include <iostream>
#include <map>
#include <string>
#include <sysexits.h>

namespace ubf::ctl {
namespace {

// The value of each setting; none for a ubfd that does not list them.
std::map<std::string, std::string> settings_of(const Globals& globals) {
    std::map<std::string, std::string> settings;
    try {
        const auto reply = ask(globals.socket, {{"command", "config"}});
        for (const auto& row : reply.at("settings"))
            settings[fmt::format("{}.{}", row.at("section").get<std::string>(),
                                 row.at("key").get<std::string>())] =
                row.at("value").get<std::string>();
    } catch (const Refused&) {
        settings.clear();
    }
    return settings;
}

} // namespace

int reload(const Globals& globals, const Arguments& arguments) {
    if (!arguments.empty())
        throw UsageError("reload takes no argument");
    const auto before = settings_of(globals);
    try {
        static_cast<void>(ask(globals.socket, {{"command", "reload"}}));
    } catch (const Refused& error) {
        std::cerr << fmt::format("ubfctl: not reloaded, the old configuration stays: {}\n",
                                 error.what());
        return EX_CONFIG;
    }
    for (const auto& [name, value] : settings_of(globals))
        if (const auto old = before.find(name); old != before.end() && old->second != value)
            std::cout << fmt::format("{}: {}, before: {}\n", name, value, old->second);
    return EX_OK;
}

} // namespace ubf::ctl
