#include "daemon/peer_news.hpp"

#include "daemon/ident/peer_table.hpp"
#include "ident/wire.hpp"

#include <chrono>
#include <fmt/format.h>

namespace ubf {
namespace {

constexpr std::size_t few_clocks = 3; // if more differ, ours is the wrong one
constexpr const char* judged_all_the_same =
    "connections are judged all the same, but lines in the logs don't match";

void add_versions(std::vector<std::string>& news, PeerTable& peers, TimePoint now) {
    for (const auto& [peer, spoken] : peers.take_other_versions(now))
        news.push_back(
            fmt::format("peer {} speaks version {} of ident, and this ubfd version {}: each "
                        "refuses what begins between them as other-version; upgrade the older one",
                        to_string(peer), spoken, ident::version));
}

void add_clocks(std::vector<std::string>& news, PeerTable& peers, TimePoint now) {
    const auto others = peers.take_other_clocks(now);
    const auto seconds = [](std::chrono::milliseconds ahead) {
        return std::chrono::round<std::chrono::seconds>(std::chrono::abs(ahead)).count();
    };
    if (others.size() > few_clocks) {
        const auto& [peer, ahead] = others.front();
        news.push_back(fmt::format("this node's clock differs from those of {} peers, by {} s from "
                                   "that of {}: {}; set it by NTP",
                                   others.size(), seconds(ahead), to_string(peer),
                                   judged_all_the_same));
        return;
    }
    for (const auto& [peer, ahead] : others)
        news.push_back(
            fmt::format("the clock of peer {} is {} s {} this node's: {}; set the clocks of both "
                        "by NTP",
                        to_string(peer), seconds(ahead), ahead.count() > 0 ? "ahead of" : "behind",
                        judged_all_the_same));
}

} // namespace

std::vector<std::string> peer_news(PeerTable& peers, TimePoint now) {
    std::vector<std::string> news;
    add_versions(news, peers, now);
    add_clocks(news, peers, now);
    return news;
}

} // namespace ubf
