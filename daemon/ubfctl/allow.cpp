// `ubfctl allow`: exceptions for a while.
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "config/exception_text.hpp"
#include "refusal.hpp"
#include "span.hpp"

#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {

int allow(const Globals& globals, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()                 //
        ("for", po::value<std::string>()) //
        ("remove", po::bool_switch())     //
        ("what", po::value<std::string>());
    po::positional_options_description positions;
    positions.add("what", 1);
    const auto given = parse("allow", arguments, options, positions);
    const bool removes = given["remove"].as<bool>();
    if (given.contains("what") != (given.contains("for") || removes) ||
        (given.contains("for") && removes))
        throw UsageError("allow takes an exception with --for SPAN or --remove, like: ubfctl allow "
                         "--for 2h 'alice>bob tcp/8786@10.0.0.2'; or nothing, and lists them");
    Json request{{"command", "allow"}};
    if (given.contains("what"))
        request["allow"] = given["what"].as<std::string>();
    if (removes)
        request["remove"] = true;
    if (given.contains("for")) {
        request["for_s"] = to_span("allow: --for", given["for"].as<std::string>()).count();
        // ubfd does not wait for the user database.
        const auto text = given["what"].as<std::string>();
        const auto exception = parse_exception(text);
        if (!exception)
            throw Refused(exception.error());
        request["by_uid"] = with_uids(text, *exception);
    }
    const auto reply = ask(globals.socket, request);
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    for (const auto& row : reply.at("exceptions"))
        std::cout << fmt::format("{}  until {}\n", row.at("allow").get<std::string>(),
                                 time_text(row.at("until_s").get<std::int64_t>() * 1000));
    return 0;
}

} // namespace ubf::ctl
