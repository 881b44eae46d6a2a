// `ubfctl peers`: every peer that was asked, the worst first.
#include "arguments.hpp"
#include "client.hpp"
#include "command.hpp"
#include "fields.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iostream>
#include <vector>

namespace ubf::ctl {

int peers(const Globals& globals, const Arguments& arguments) {
    namespace po = boost::program_options;
    po::options_description options;
    options.add_options()("silent", po::bool_switch());
    const bool silent_alone = parse("peers", arguments, options)["silent"].as<bool>();
    const auto reply = ask(globals.socket, {{"command", "status"}, {"peers", true}});
    std::vector<Json> peers;
    for (const auto& peer : reply.at("peers"))
        if (!silent_alone || yes(peer, "/silent"))
            peers.push_back(peer);
    std::ranges::stable_sort(peers, [&](const Json& a, const Json& b) {
        const auto rank = [&](const Json& peer) {
            return std::pair(yes(peer, "/silent"), number(peer, "/answer_us/p50"));
        };
        return rank(a) > rank(b);
    });
    if (globals.json) {
        std::cout << Json(peers).dump(2) << '\n';
        return 0;
    }
    std::cout << fmt::format("{:<40} {:>10} {:>10} {:>10} {:>10}\n", "PEER", "ASKED", "UNANSWERED",
                             "P50_US", "P99_US");
    for (const auto& peer : peers)
        std::cout << fmt::format(
            "{:<40} {:>10} {:>10} {:>10} {:>10}{}\n", word(peer, "/address", "?"),
            number(peer, "/questions"), number(peer, "/timeouts"), number(peer, "/answer_us/p50"),
            number(peer, "/answer_us/p99"), yes(peer, "/silent") ? "  SILENT" : "");
    return 0;
}

} // namespace ubf::ctl
