// `ubfctl doctor`: each layer of this node, ok, off or not applicable. It reads only, and needs no
// ubfd.
#include "arguments.hpp"
#include "base/escape.hpp"
#include "command.hpp"
#include "daemon/ubfctl/doctor/bundle.hpp"
#include "daemon/ubfctl/doctor/check.hpp"
#include "daemon/ubfctl/doctor/read.hpp"
#include "screen.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;
using doctor::Check;
using doctor::State;

struct Line {
    const Check* check;
    doctor::Finding finding;
};

std::vector<Line> judge(const std::vector<Check>& checks, const doctor::Facts& facts) {
    std::vector<Line> lines;
    for (const auto& check : checks)
        lines.push_back({&check, check.judge(facts)});
    return lines;
}

Json to_json(const Line& line) {
    Json json{{"id", line.check->id}, {"state", to_string(line.finding.state)}};
    const auto& finding = line.finding;
    for (const auto& [key, text] :
         {std::pair("seen", &finding.seen), std::pair("write", &finding.write),
          std::pair("where", &finding.where)})
        if (!text->empty())
            json[key] = escape(*text);
    return json;
}

// Names of other programs' chains may be any bytes.
std::string to_text(const Json& json) {
    return json.dump(2, ' ', true, Json::error_handler_t::replace) + '\n';
}

Ink ink(State state) {
    return state == State::ok ? Ink::good : state == State::off ? Ink::bad : Ink::plain;
}

std::string page_of(const std::vector<Line>& lines, const Paint& paint) {
    std::string text;
    for (const auto& [check, finding] : lines) {
        const auto state = fmt::format("{:<3}", to_string(finding.state));
        text += fmt::format("{}  {:<28} {}\n", paint(ink(finding.state), state), check->id,
                            escape(finding.seen));
        if (finding.state == State::off)
            text += fmt::format("       open: {}\n       write: {}\n       where: {}\n",
                                check->open, escape(finding.write), escape(finding.where));
    }
    return text;
}

int explain(const std::vector<Check>& checks, const std::string& id) {
    const auto found = std::ranges::find(checks, id, &Check::id);
    if (found == checks.end())
        throw UsageError(
            fmt::format("doctor: there is no check '{}'; 'ubfctl doctor' lists them", id));
    std::cout << fmt::format("{}\n  with it: {}\n  without: {}\n", found->id, found->closes,
                             found->open);
    return 0;
}

} // namespace

int doctor_command(const Globals& globals, const Arguments& arguments) {
    po::options_description options;
    options.add_options()                                                      //
        ("config", po::value<std::string>()->default_value(default_config))    //
        ("slurm-conf", po::value<std::string>()->default_value(std::string())) //
        ("bundle", po::bool_switch())("explain", po::value<std::string>());
    const auto given = parse("doctor", arguments, options);
    const auto checks = doctor::checks();
    if (given.contains("explain"))
        return explain(checks, given["explain"].as<std::string>());
    const auto facts = doctor::read_facts(
        {globals.socket, given["config"].as<std::string>(), given["slurm-conf"].as<std::string>()});
    const auto lines = judge(checks, facts);
    const auto count = [&](State state) {
        return std::ranges::count(lines, state,
                                  [](const Line& line) { return line.finding.state; });
    };
    const int status = count(State::off) > 0 ? 1 : 0;
    if (globals.json || given["bundle"].as<bool>()) {
        auto rows = Json::array();
        for (const auto& line : lines)
            rows.push_back(to_json(line));
        if (given["bundle"].as<bool>()) {
            doctor::Pseudonyms pseudonyms(doctor::is_person);
            std::cout << to_text(doctor::bundle(facts, rows, pseudonyms));
            return 0;
        }
        std::cout << to_text({{"ok", status == 0}, {"checks", rows}});
        return status;
    }
    const auto head =
        fmt::format("{}: {} ok, {} off, {} not applicable\n", host_name(), count(State::ok),
                    count(State::off), count(State::not_applicable));
    return show(globals, {head + page_of(lines, Paint(globals.colours)), {}, status});
}

} // namespace ubf::ctl
