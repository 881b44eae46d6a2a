// `ubfctl flows`: the flows that are allowed now, in columns that the reader chooses.
#include "base/counted.hpp"
#include "command.hpp"
#include "fields.hpp"
#include "flow_filter.hpp"
#include "names.hpp"
#include "programs.hpp"
#include "screen.hpp"
#include "table.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>
#include <vector>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::string party(const Json& row, const char* end) {
    const auto& json = row.at(end);
    if (!json.contains("uid"))
        return word(json, "/kind", "");
    auto text = fmt::format("{}({})", word(json, "/user", "?"), number(json, "/uid"));
    if (json.contains("via"))
        text += fmt::format(" via {}({})", word(json, "/via_user", "?"), number(json, "/via"));
    return text;
}

// The name of the user as whom a web portal runs, whose connection it is.
void add_portal(Json& connector, Names& names) {
    if (!connector.contains("via"))
        return;
    Json portal{{"uid", connector.at("via")}};
    names.add(portal);
    if (portal.contains("user"))
        connector["via_user"] = portal.at("user");
}

// "45s", "12m", "3h", "9d": the largest unit that is full.
std::string span_text(std::uint64_t seconds) {
    struct Unit {
        std::uint64_t seconds;
        char name;
    };
    for (const auto& [length, name] : {Unit{86400, 'd'}, Unit{3600, 'h'}, Unit{60, 'm'}})
        if (seconds >= length)
            return fmt::format("{}{}", seconds / length, name);
    return fmt::format("{}s", seconds);
}

constexpr std::array<Column, 11> flow_fields{{
    {"flow", "protocol and both ends, as 'ubfctl revoke --flow' takes them",
     [](const Json& row) {
         return fmt::format("{} {} -> {}", word(row, "/protocol", "?"), word(row, "/from", "?"),
                            word(row, "/to", "?"));
     }},
    {"reason", "why it is allowed", [](const Json& row) { return word(row, "/reason", ""); }},
    {"connector", "the user who began it", [](const Json& row) { return party(row, "connector"); }},
    {"listener", "the user whose server it is",
     [](const Json& row) { return party(row, "listener"); }},
    {"age", "since when: s, m, h or d",
     [](const Json& row) { return span_text(number(row, "/age_s")); }, true},
    {"proto", "the protocol alone", [](const Json& row) { return word(row, "/protocol", ""); },
     false, false},
    {"from", "the connector's end alone", [](const Json& row) { return word(row, "/from", ""); },
     false, false},
    {"to", "the listener's end alone", [](const Json& row) { return word(row, "/to", ""); }, false,
     false},
    {"program", "the program at the end on this node, or at both",
     [](const Json& row) { return word(row, "/program", ""); }, false, false},
    {"job", "the Slurm job of that program", [](const Json& row) { return word(row, "/job", ""); },
     false, false},
    {"label", "the label of that job", [](const Json& row) { return word(row, "/label", ""); },
     false, false},
}};

bool needs_programs(const std::vector<Column>& columns) {
    return std::ranges::any_of(columns, [](const Column& column) {
        return column.name == "program" || column.name == "job" || column.name == "label";
    });
}

struct Wish {
    Json request;
    std::vector<Column> columns;
    bool headings = true;
};

Page page_of(const Globals& globals, const Wish& wish, Names& names) {
    auto reply = ask(globals.socket, wish.request);
    std::vector<Json> flows(reply.at("flows").begin(), reply.at("flows").end());
    for (auto& flow : flows) {
        for (const char* end : {"connector", "listener"})
            names.add(flow.at(end));
        add_portal(flow.at("connector"), names);
    }
    if (needs_programs(wish.columns))
        add_programs(flows, ask(globals.socket, {{"command", "jobs"}}).at("jobs"));
    if (globals.json) {
        reply["flows"] = flows;
        return {reply.dump(2) + '\n'};
    }
    Page page;
    if (wish.headings)
        page.text = fmt::format("{}: {} allowed\n", host_name(), counted(flows.size(), "flow"));
    page.text +=
        to_table(wish.columns, flows, {wish.headings, Paint(globals.colours), [](const Json& row) {
                                           return word(row, "/reason") == "observed" ? Ink::warning
                                                                                     : Ink::plain;
                                       }});
    if (yes(reply, "/truncated"))
        page.note = fmt::format("ubfctl: there are more than these {}; ask for those of one "
                                "--user or --reason\n",
                                flows.size());
    page.note += note_of_missing(reply);
    return page;
}

} // namespace

std::span<const Column> flow_columns() {
    return flow_fields;
}

int flows(const Globals& globals, const Arguments& arguments) {
    auto options = filter_options();
    options.add_options()                                                    //
        ("output,o", po::value<std::string>()->default_value(std::string())) //
        ("no-headings", po::bool_switch());
    add_watch(options);
    const auto given = parse("flows", arguments, options);
    const Wish wish{request_of("flows", given),
                    choose("flows", flow_fields, given["output"].as<std::string>()),
                    !given["no-headings"].as<bool>()};
    Names names;
    return show(globals, watch_of("flows", given), [&] { return page_of(globals, wish, names); });
}

} // namespace ubf::ctl
