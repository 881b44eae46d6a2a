// `ubfctl config`: the settings that hold, defaults filled in.
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"

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
    std::string section;
    for (const auto& row : reply.at("settings")) {
        const auto text = [&](const char* key) { return row.at(key).get<std::string>(); };
        if (set_alone && text("where").empty())
            continue;
        if (text("section") != section) {
            std::cout << fmt::format("{}[{}]\n", section.empty() ? "" : "\n", text("section"));
            section = text("section");
        }
        const auto line = fmt::format("{} = {}", text("key"), text("value"));
        std::cout << (text("where").empty() ? line + '\n'
                                            : fmt::format("{:<40} # {}\n", line, text("where")));
    }
    return 0;
}

} // namespace ubf::ctl
