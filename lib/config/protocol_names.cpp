#include "config/protocol_names.hpp"

#include <algorithm>
#include <utility>

namespace ubf::config {
namespace {

// TCP, UDP and the protocols that always pass are here, so that a message can say so.
constexpr std::pair<std::string_view, std::uint8_t> names[] = {
    {"icmp", 1},      {"igmp", 2},       {"ipencap", 4}, {"tcp", 6},    {"udp", 17},
    {"dccp", 33},     {"ipv6", 41},      {"rsvp", 46},   {"gre", 47},   {"esp", 50},
    {"ah", 51},       {"ipv6-icmp", 58}, {"eigrp", 88},  {"ospf", 89},  {"etherip", 97},
    {"pim", 103},     {"ipcomp", 108},   {"vrrp", 112},  {"l2tp", 115}, {"sctp", 132},
    {"udplite", 136}, {"hip", 139},
};

} // namespace

std::optional<std::uint8_t> protocol_number(std::string_view name) {
    const auto found =
        std::ranges::find(names, name, [](const auto& entry) { return entry.first; });
    if (found == std::end(names))
        return std::nullopt;
    return found->second;
}

std::vector<std::string_view> protocol_names() {
    std::vector<std::string_view> known;
    for (const auto& entry : names)
        known.push_back(entry.first);
    return known;
}

} // namespace ubf::config
