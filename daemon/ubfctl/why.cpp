// `ubfctl why`: the asker's own refusals, for any user.
#include "arguments.hpp"
#include "command.hpp"
#include "refusal.hpp"
#include "screen.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <iostream>
#include <thread>
#include <vector>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::string our_program(const Refusal::End& end) {
    if (end.by_portal)
        return "a web portal, for you,";
    if (end.program.empty())
        return "your program";
    return fmt::format("your {}[{}]{}", end.program, end.pid,
                       end.job != 0 ? fmt::format(" of job {}", end.job) : std::string());
}

std::string to_text(const Refusal& refusal, Names& names, const Paint& paint) {
    const auto many = times(refusal.count);
    const auto where =
        refusal.told_by.empty() ? std::string() : " (said by " + refusal.told_by + ")";
    const auto other = [&](const Refusal::End& end) {
        return end.uid ? names.user(*end.uid) + "'s" : std::string("another user's");
    };
    const auto head =
        fmt::format("{}  {} {} -> {}  {}{}{}", time_text(refusal.last_ms), refusal.protocol,
                    to_string(refusal.from.address), to_string(refusal.to), verb_of(refusal),
                    many.empty() ? "" : ", " + many, where);
    auto text = paint(Ink::heading, head) + '\n';
    if (refusal.is_listeners)
        text +=
            fmt::format("    who:  {} program wanted to reach {} on port {}\n",
                        other(refusal.connector), our_program(refusal.listener), refusal.to.port);
    else
        text +=
            fmt::format("    who:  {} wanted to reach {} server on port {}\n",
                        our_program(refusal.connector), other(refusal.listener), refusal.to.port);
    text += fmt::format("    why:  {} ({})\n", reason_in_words(refusal.reason),
                        to_string(refusal.reason));
    text += paint(Ink::good, fmt::format("    do:   {}", advice(refusal, names))) + '\n';
    return text;
}

std::vector<Json> ask_for(const Globals& globals, unsigned most, std::int64_t since_ms) {
    const auto reply =
        ask(globals.user_socket, {{"command", "why"}, {"most", most}, {"since_ms", since_ms}});
    std::vector<Json> rows;
    for (const auto& row : reply.at("refusals"))
        rows.push_back(row);
    return rows;
}

void print(const Globals& globals, const Json& row, Names& names) {
    if (globals.json)
        std::cout << row.dump() << std::endl;
    else if (const auto refusal = to_refusal(row))
        std::cout << to_text(*refusal, names, Paint(globals.colours)) << std::flush;
}

[[noreturn]] void follow(const Globals& globals, std::int64_t since_ms, Names& names) {
    constexpr unsigned most = 100;
    for (;;) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        auto rows = ask_for(globals, most, since_ms);
        std::ranges::reverse(rows);
        for (const auto& row : rows) {
            print(globals, row, names);
            since_ms = std::max(since_ms, row.value("last_ms", since_ms));
        }
    }
}

} // namespace

int why(const Globals& globals, const Arguments& arguments) {
    unsigned last = 0;
    po::options_description options;
    options.add_options()                             //
        ("last", po::value(&last)->default_value(10)) //
        ("follow", po::bool_switch());
    const auto given = parse("why", arguments, options);
    const bool follows = given["follow"].as<bool>();
    if (last == 0)
        throw UsageError("why: --last takes a number from 1 up");
    Names names;
    auto rows = ask_for(globals, last, 0);
    const auto newest =
        rows.empty() ? std::int64_t{0} : rows.front().value("last_ms", std::int64_t{0});
    if (globals.json && !follows) {
        std::cout << Json{{"refusals", rows}}.dump(2) << '\n';
        return 0;
    }
    if (follows) {
        std::ranges::reverse(rows);
        for (const auto& row : rows)
            print(globals, row, names);
        follow(globals, newest, names);
    }
    if (rows.empty()) {
        std::cout << "Nothing of yours was refused on this node, as far as ubfd remembers. If a "
                     "program was refused on another node, ask there.\n";
        return 0;
    }
    Page page;
    for (const auto& row : rows)
        if (const auto refusal = to_refusal(row))
            page.text += to_text(*refusal, names, Paint(globals.colours));
    return show(globals, page);
}

} // namespace ubf::ctl
