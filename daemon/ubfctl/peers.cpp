// `ubfctl peers`: every peer that was asked, the worst first.
#include "arguments.hpp"
#include "base/counted.hpp"
#include "client.hpp"
#include "command.hpp"
#include "fields.hpp"
#include "screen.hpp"
#include "table.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <vector>

namespace ubf::ctl {
namespace {

namespace po = boost::program_options;

bool is_silent(const Json& peer) {
    return yes(peer, "/silent");
}

std::string number_text(const Json& peer, const char* path) {
    return std::to_string(number(peer, path));
}

constexpr std::array<Column, 8> peer_fields{{
    {"peer", "its address", [](const Json& peer) { return word(peer, "/address", "?"); }},
    {"asked", "questions to it", [](const Json& peer) { return number_text(peer, "/questions"); },
     true},
    {"unanswered", "of these, without an answer",
     [](const Json& peer) { return number_text(peer, "/timeouts"); }, true},
    {"p50_us", "the median of its answer times, in microseconds",
     [](const Json& peer) { return number_text(peer, "/answer_us/p50"); }, true},
    {"p99_us", "the slowest one in a hundred",
     [](const Json& peer) { return number_text(peer, "/answer_us/p99"); }, true},
    {"state", "SILENT, or answers",
     [](const Json& peer) { return std::string(is_silent(peer) ? "SILENT" : "answers"); }},
    {"proof", "how it was proven: a certificate, or the cluster key",
     [](const Json& peer) { return word(peer, "/proof", "?"); }, false, false},
    {"answers", "answers that came", [](const Json& peer) { return number_text(peer, "/answers"); },
     true, false},
}};

std::vector<Json> worst_first(const Json& reply, bool silent_alone) {
    std::vector<Json> peers;
    for (const auto& peer : reply.at("peers"))
        if (!silent_alone || is_silent(peer))
            peers.push_back(peer);
    std::ranges::stable_sort(peers, std::ranges::greater{}, [](const Json& peer) {
        return std::pair(is_silent(peer), number(peer, "/answer_us/p50"));
    });
    return peers;
}

} // namespace

std::span<const Column> peer_columns() {
    return peer_fields;
}

int peers(const Globals& globals, const Arguments& arguments) {
    po::options_description options;
    options.add_options()                                                    //
        ("silent", po::bool_switch())                                        //
        ("output,o", po::value<std::string>()->default_value(std::string())) //
        ("no-headings", po::bool_switch());
    add_watch(options);
    const auto given = parse("peers", arguments, options);
    const auto columns = choose("peers", peer_fields, given["output"].as<std::string>());
    const bool silent_alone = given["silent"].as<bool>();
    const bool headings = !given["no-headings"].as<bool>();
    return show(globals, watch_of("peers", given), [&]() -> Page {
        const auto reply = ask(globals.socket, {{"command", "status"}, {"peers", true}});
        const auto peers = worst_first(reply, silent_alone);
        if (globals.json)
            return {Json(peers).dump(2) + '\n'};
        const auto head = headings ? fmt::format("{}: {} asked, {} silent\n", host_name(),
                                                 counted(number(reply, "/peers_asked"), "peer"),
                                                 number(reply, "/peers_silent"))
                                   : std::string();
        return {head +
                to_table(columns, peers, {headings, Paint(globals.colours), [](const Json& peer) {
                                              return is_silent(peer) ? Ink::bad : Ink::plain;
                                          }})};
    });
}

} // namespace ubf::ctl
