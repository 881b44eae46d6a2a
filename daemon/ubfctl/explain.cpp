#include "arguments.hpp"
#include "base/text.hpp"
#include "client.hpp"
#include "command.hpp"
#include "fields.hpp"
#include "refusal.hpp"
#include "screen.hpp"

#include <array>
#include <fmt/format.h>
#include <iostream>
#include <netdb.h>
#include <optional>
#include <string>
#include <sys/socket.h>

namespace ubf::ctl {

namespace {

namespace po = boost::program_options;

// "node2:8888" becomes "10.0.0.2:8888", an address of the other end's family where there is one.
std::string with_address(const std::string& given, std::optional<bool> v4) {
    const auto colon = given.rfind(':');
    const bool is_name = colon != std::string::npos && colon > 0 && given.find(':') == colon &&
                         !ubf::number<std::uint64_t>(given.substr(0, colon));
    if (!is_name || Endpoint::parse(given))
        return given;
    addrinfo wanted{};
    wanted.ai_family = !v4 ? AF_UNSPEC : *v4 ? AF_INET : AF_INET6;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const auto host = given.substr(0, colon);
    if (::getaddrinfo(host.c_str(), nullptr, &wanted, &found) != 0 || found == nullptr)
        throw UsageError(fmt::format("explain: no address is known of '{}'; write one, like "
                                     "10.0.0.1:4000 or [fd00::1]:4000",
                                     host));
    std::array<char, NI_MAXHOST> text{};
    const int error = ::getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(),
                                    nullptr, 0, NI_NUMERICHOST);
    const bool is_v6 = found->ai_family == AF_INET6;
    ::freeaddrinfo(found);
    if (error != 0)
        return given;
    const std::string port = given.substr(colon);
    return is_v6 ? fmt::format("[{}]{}", text.data(), port) : text.data() + port;
}

std::optional<bool> family_of(const std::string& given) {
    const auto end = Endpoint::parse(given);
    return end ? std::optional(end->address.is_v4()) : std::nullopt;
}

// A supposed connector has no port.
std::string with_port(const std::string& given) {
    if (Endpoint::parse(given))
        return given;
    const auto address = Address::parse(given);
    if (address)
        return to_string(Endpoint{*address, 1});
    return given.find(':') == std::string::npos ? given + ":1" : given;
}

int explain_flow(const Globals& globals, std::string from, std::string to,
                 const std::string& protocol, const std::string& as) {
    from = with_address(as.empty() ? from : with_port(from), family_of(to));
    to = with_address(to, family_of(from));
    Json request{{"command", "explain"}, {"from", from}, {"to", to}, {"protocol", protocol}};
    if (!as.empty())
        request["as"] = uid_of(as);
    const auto reply = ask(globals.socket, request);
    if (globals.json) {
        std::cout << reply.dump(2) << '\n';
        return 0;
    }
    for (const auto& step : reply.at("steps"))
        std::cout << step.get<std::string>() << '\n';
    const auto action = word(reply, "/verdict/action");
    const Paint paint(globals.colours);
    std::cout << paint(action == to_string(Action::allow) ? Ink::good : Ink::bad,
                       fmt::format("so: {} ({}): {}", action, word(reply, "/verdict/reason"),
                                   word(reply, "/verdict/hint")))
              << '\n';
    return 0;
}

std::string end_text(const Refusal::End& end, Names& names) {
    const auto user = user_of(end, end.kind, names);
    return end.program.empty() ? user
                               : fmt::format("{}, program {}[{}]", user, end.program, end.pid);
}

// A refusal that is over, as it is remembered.
int explain_refusal(const Globals& globals, Json request, std::string_view what) {
    request["command"] = "refusals";
    const auto reply = ask(globals.socket, request);
    const auto& rows = reply.at("refusals");
    const auto refusal = rows.empty() ? std::nullopt : to_refusal(rows.front());
    if (!refusal)
        throw Refused(fmt::format("no refusal {} is remembered on this node; 'ubfctl report' lists "
                                  "those that are",
                                  what));
    if (globals.json) {
        std::cout << rows.front().dump(2) << '\n';
        return 0;
    }
    Names names;
    const auto many = times(refusal->count);
    std::cout << fmt::format(
        "flow: {} {} -> {}, {} at {}{}{}\nlistener: {}\nconnector: {}\nso: {} ({}): {}\n",
        refusal->protocol, to_string(refusal->from), to_string(refusal->to), verb_of(*refusal),
        time_text(refusal->last_ms), many.empty() ? "" : ", the last of " + many,
        refusal->told_by.empty() ? "" : ", by " + refusal->told_by,
        end_text(refusal->listener, names), end_text(refusal->connector, names),
        to_string(action_of(refusal->reason)), to_string(refusal->reason), refusal->hint);
    return 0;
}

std::uint32_t id_of(const std::string& text) {
    const auto id = ubf::number<std::uint32_t>(text, 16);
    if (!id || *id == 0)
        throw UsageError(fmt::format("explain: '{}' is no id of a line in the log; it stands there "
                                     "as id=0123abcd; 'ubfctl --help' shows how it is called",
                                     text));
    return *id;
}

} // namespace

int explain(const Globals& globals, const Arguments& arguments) {
    po::options_description options;
    options.add_options()                                                 //
        ("from", po::value<std::string>())                                //
        ("to", po::value<std::string>())                                  //
        ("proto", po::value<std::string>()->default_value("tcp"))         //
        ("as", po::value<std::string>())                                  //
        ("last", po::value<std::string>()->implicit_value(std::string())) //
        ("id", po::value<std::string>());
    po::positional_options_description positions;
    positions.add("id", 1);
    const auto given = parse("explain", arguments, options, positions);
    const bool flow = given.contains("from") && given.contains("to");
    if (int{flow} + int{given.contains("id")} + int{given.contains("last")} != 1 ||
        given.contains("from") != given.contains("to") || (given.contains("as") && !flow))
        throw UsageError("explain takes a flow (--from and --to), the id of a line in the log, or "
                         "--last with a user or without");
    const auto text = [&](const char* name) { return given[name].as<std::string>(); };
    if (flow)
        return explain_flow(globals, text("from"), text("to"), text("proto"),
                            given.contains("as") ? text("as") : std::string());
    if (given.contains("id"))
        return explain_refusal(globals, {{"id", id_of(text("id"))}}, "of this id");
    const auto user = text("last");
    return user.empty() ? explain_refusal(globals, Json::object(), "at all")
                        : explain_refusal(globals, {{"user", uid_of(user)}}, "of this user");
}

} // namespace ubf::ctl
