#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"

#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {

int explain(const Globals& globals, const Arguments& arguments) {
    namespace po = boost::program_options;
    std::string from;
    std::string to;
    std::string protocol;
    po::options_description options;
    options.add_options()                      //
        ("from", po::value(&from)->required()) //
        ("to", po::value(&to)->required())     //
        ("proto", po::value(&protocol)->default_value("tcp"));
    parse("explain", arguments, options);
    const auto reply =
        ask(globals.socket,
            {{"command", "explain"}, {"from", from}, {"to", to}, {"protocol", protocol}});
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    for (const auto& step : reply.at("steps"))
        std::cout << step.get<std::string>() << '\n';
    const auto& verdict = reply.at("verdict");
    std::cout << fmt::format("so: {} ({}): {}\n", verdict.at("action").get<std::string>(),
                             verdict.at("reason").get<std::string>(),
                             verdict.at("hint").get<std::string>());
    return 0;
}

} // namespace ubf::ctl
