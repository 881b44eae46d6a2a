// `ubfctl revoke`: ends flows that are allowed now.
#include "base/counted.hpp"
#include "command.hpp"
#include "flow/flow.hpp"
#include "flow_filter.hpp"
#include "screen.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

// A flow in one piece, as the log and `ubfctl flows` have it, or in three.
void add_flow(Json& request, const po::variables_map& given) {
    const auto text = [&](const char* name) {
        return given.contains(name) ? given[name].as<std::string>() : std::string();
    };
    auto whole = text("flow");
    if (whole.empty())
        whole = fmt::format("{} {} -> {}", text("proto"), text("from"), text("to"));
    const auto flow = Flow::parse(whole);
    if (!flow)
        throw UsageError(fmt::format("revoke: '{}' is no flow; write it as 'ubfctl flows' and the "
                                     "log do, like 'tcp 10.0.0.1:4000 -> 10.0.0.2:80'",
                                     whole));
    request["from"] = to_string(flow->source);
    request["to"] = to_string(flow->destination);
    request["protocol"] = to_string(flow->protocol);
}

} // namespace

int revoke(const Globals& globals, const Arguments& arguments) {
    auto options = filter_options();
    options.add_options()                                         //
        ("flow", po::value<std::string>())                        //
        ("from", po::value<std::string>())                        //
        ("to", po::value<std::string>())                          //
        ("proto", po::value<std::string>()->default_value("tcp")) //
        ("all", po::bool_switch());
    const auto given = parse("revoke", arguments, options);
    const bool one = given.contains("flow") || given.contains("from") || given.contains("to");
    const bool some = given.contains("user") || given.contains("reason");
    const bool all = given["all"].as<bool>();
    if (int{one} + int{some} + int{all} != 1)
        throw UsageError("revoke takes one flow (--flow, or --from and --to), or those of a --user "
                         "or for a --reason, or --all");
    if (given.contains("flow") && (given.contains("from") || given.contains("to")))
        throw UsageError("revoke takes --flow, or --from and --to, and not both");
    auto request = request_of("revoke", given);
    if (one)
        add_flow(request, given);
    if (all)
        request["all"] = true;
    const auto reply = ask(globals.socket, request);
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    const auto count = [&](const char* key) { return reply.at(key).get<std::uint64_t>(); };
    std::cout << fmt::format("ended {}\n", counted(count("ended"), "flow"));
    if (count("not_ended") > 0)
        std::cerr << fmt::format("ubfctl: the kernel refused to end {} more; the log says why\n",
                                 count("not_ended"));
    std::cerr << note_of_missing(reply);
    return count("not_ended") > 0 ? 1 : 0;
}

} // namespace ubf::ctl
