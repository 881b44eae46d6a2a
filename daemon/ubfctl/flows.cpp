// `ubfctl flows` and `ubfctl revoke`: list the flows that are allowed now, and end them.
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "flow/flow.hpp"
#include "names.hpp"
#include "policy/verdict.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::string checked_reason(const std::string& name) {
    const auto reason = parse_reason(name);
    if (!reason || action_of(*reason) != Action::allow)
        throw UsageError(fmt::format("no flow is allowed for the reason '{}'; there are {}", name,
                                     fmt::join(reasons_of(Action::allow), ", ")));
    return name;
}

po::options_description common_options() {
    po::options_description options;
    options.add_options()                  //
        ("user", po::value<std::string>()) //
        ("reason", po::value<std::string>());
    return options;
}

Json make_request(const char* command, const po::variables_map& given) {
    Json request{{"command", command}};
    if (given.contains("user"))
        request["user"] = uid_of(given["user"].as<std::string>());
    if (given.contains("reason"))
        request["reason"] = checked_reason(given["reason"].as<std::string>());
    return request;
}

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

std::string to_text(const Json& party) {
    if (!party.contains("uid"))
        return party.at("kind").get<std::string>();
    return fmt::format("{}({})", party.value("user", std::string("?")),
                       party.at("uid").get<std::uint32_t>());
}

std::string to_line(const Json& flow) {
    const auto text = [&](const char* key) { return flow.at(key).get<std::string>(); };
    const auto ends = fmt::format("{} {} -> {}", text("protocol"), text("from"), text("to"));
    return fmt::format("{:<52} {:<16} connector {:<20} listener {:<20} {} s\n", ends,
                       text("reason"), to_text(flow.at("connector")), to_text(flow.at("listener")),
                       flow.at("age_s").get<std::uint64_t>());
}

void note_missing(const Json& reply) {
    if (const auto missing = reply.at("queues_missing").get<std::uint64_t>(); missing > 0)
        std::cerr << fmt::format("ubfctl: {} of ubfd's queues did not answer in time, and theirs "
                                 "is not told here; see 'ubfctl status'\n",
                                 missing);
}

} // namespace

int flows(const Globals& globals, const Arguments& arguments) {
    const auto given = parse("flows", arguments, common_options());
    auto reply = ask(globals.socket, make_request("flows", given));
    Names names;
    for (auto& flow : reply.at("flows"))
        for (const char* end : {"connector", "listener"})
            names.add(flow.at(end));
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    for (const auto& flow : reply.at("flows"))
        std::cout << to_line(flow);
    if (reply.at("truncated").get<bool>())
        std::cerr << fmt::format("ubfctl: there are more than these {}; ask for those of one "
                                 "--user or --reason\n",
                                 reply.at("flows").size());
    note_missing(reply);
    return 0;
}

int revoke(const Globals& globals, const Arguments& arguments) {
    auto options = common_options();
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
    auto request = make_request("revoke", given);
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
    std::cout << fmt::format("ended {} flow{}\n", count("ended"), count("ended") == 1 ? "" : "s");
    if (count("not_ended") > 0)
        std::cerr << fmt::format("ubfctl: the kernel refused to end {} more; the log says why\n",
                                 count("not_ended"));
    note_missing(reply);
    return count("not_ended") > 0 ? 1 : 0;
}

} // namespace ubf::ctl
