// `ubfctl report`: what was refused, or would be, summed up; of this node, or of many.
#include "arguments.hpp"
#include "base/counted.hpp"
#include "base/escape.hpp"
#include "base/json.hpp"
#include "command.hpp"
#include "report.hpp"
#include "rule_refusals.hpp"
#include "screen.hpp"
#include "span.hpp"

#include <chrono>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <vector>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

Json read_file(const std::string& file) {
    std::ifstream in(file);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    auto json = in ? Json::parse(text, nullptr, false) : Json();
    if (!json.is_object() || !json.contains("refusals") || !json.at("refusals").is_array())
        throw Refused(fmt::format("{}: no report is there; write one on each node with 'ubfctl "
                                  "--json report > FILE'",
                                  file));
    return json;
}

Json own_report(const Globals& globals, std::int64_t since_ms) {
    auto report = ask(globals.socket, {{"command", "refusals"}, {"since_ms", since_ms}});
    report["host"] = host_name();
    const auto status = ask(globals.socket, {{"command", "status"}});
    report["rules"] = rule_refusals_of_status(status);
    return report;
}

// A peer's own report has what it told this node.
std::vector<Refusal> to_refusals(const std::vector<Json>& reports) {
    std::vector<Refusal> refusals;
    for (const auto& report : reports)
        for (const auto& row : report.at("refusals"))
            if (const auto refusal = to_refusal(row); refusal && refusal->told_by.empty())
                refusals.push_back(*refusal);
    return refusals;
}

std::string to_text(const std::vector<RefusalGroup>& groups, std::size_t nodes, Names& names,
                    const Paint& paint) {
    std::set<std::string> verbs;
    for (const auto& each : groups)
        verbs.insert(each.verb);
    std::string text;
    for (const auto& verb : verbs) {
        std::uint64_t flows = 0;
        std::set<std::uint32_t> users;
        std::string lines;
        for (const auto& each : groups) {
            if (each.verb != verb)
                continue;
            flows += each.flows;
            for (const auto& [uid, count] : each.connectors)
                users.insert(uid);
            lines += to_text(each, names);
        }
        const auto head = fmt::format(
            "{} {} of {}{}", verb, counted(flows, "flow"), counted(users.size(), "user"),
            nodes > 1 ? fmt::format(", by the reports of {} nodes", nodes) : std::string());
        text += fmt::format("{}\n{}", paint(Ink::heading, head), lines);
    }
    return text;
}

// The nodes of the reports; as a comment of a configuration, if one follows.
std::string head_of(const std::vector<Json>& reports, bool is_comment) {
    std::set<std::string> hosts;
    for (const auto& each : reports)
        hosts.insert(escape(each.contains("host") ? text_of(each, "host") : "a node of no name"));
    return fmt::format("{}{}:\n", is_comment ? "# " : "", fmt::join(hosts, ", "));
}

} // namespace

int report(const Globals& globals, const Arguments& arguments) {
    po::options_description options;
    options.add_options()                                             //
        ("from", po::value<std::vector<std::string>>()->multitoken()) //
        ("since", po::value<std::string>())                           //
        ("suggest", po::bool_switch());
    const auto given = parse("report", arguments, options);
    const auto since =
        given.contains("since")
            ? now_ms() - std::chrono::milliseconds(
                             to_span("report: --since", given["since"].as<std::string>()))
                             .count()
            : 0;
    std::vector<Json> reports;
    if (given.contains("from"))
        for (const auto& file : given["from"].as<std::vector<std::string>>())
            reports.push_back(read_file(file));
    else
        reports.push_back(own_report(globals, since));
    RuleRefusals by_rules;
    for (const auto& each : reports)
        add_rule_refusals_of_report(by_rules, each);
    if (globals.json) {
        Json all = Json::array();
        for (const auto& each : reports)
            for (const auto& row : each.at("refusals"))
                all.push_back(row);
        std::cout << Json{{"host", host_name()}, {"refusals", all}, {"rules", by_rules}}.dump(2)
                  << '\n';
        return 0;
    }
    auto refusals = to_refusals(reports);
    std::erase_if(refusals, [&](const Refusal& refusal) { return refusal.last_ms < since; });
    const auto groups = group(refusals);
    Names names;
    const bool suggests = given["suggest"].as<bool>();
    auto text = suggests ? suggestion(groups, names)
                         : to_text(groups, reports.size(), names, Paint(globals.colours));
    text += to_text(by_rules, suggests);
    if (text.empty() && !suggests)
        text = "nothing was refused, as far as is remembered\n";
    return show(globals, {head_of(reports, suggests) + text});
}

} // namespace ubf::ctl
