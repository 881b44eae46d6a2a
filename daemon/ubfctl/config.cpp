// `ubfctl config`: the settings that hold, defaults filled in.
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "screen.hpp"

#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {

int config(const Globals& globals, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()("set", po::bool_switch());
    const bool set_alone = parse("config", arguments, options)["set"].as<bool>();
    const auto reply = ask(globals.socket, {{"command", "config"}});
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    const Paint paint(globals.colours);
    std::string page;
    std::string section;
    for (const auto& row : reply.at("settings")) {
        const auto text = [&](const char* key) { return row.at(key).get<std::string>(); };
        if (set_alone && text("where").empty())
            continue;
        if (text("section") != section) {
            page += section.empty() ? "" : "\n";
            section = text("section");
            page += paint(Ink::heading, fmt::format("[{}]", section)) + '\n';
        }
        const auto line = fmt::format("{} = {}", text("key"), text("value"));
        page +=
            text("where").empty() ? line + '\n' : fmt::format("{:<40} # {}\n", line, text("where"));
    }
    return show(globals, {page});
}

} // namespace ubf::ctl
