#include "report.hpp"

#include "base/counted.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tuple>

namespace ubf::ctl {
namespace {

constexpr std::size_t few = 4; // are named one by one
constexpr std::size_t most_ways = 256;
// A server of many ports, as of MPI, is one group; up to this many are one each.
constexpr std::size_t many_ports = 8;

using Key = std::tuple<std::string, Reason, std::string, std::string, std::optional<std::uint32_t>,
                       std::optional<Port>>;

Key key_of(const Refusal& refusal, std::optional<Port> port) {
    return {verb_of(refusal),      refusal.reason,       refusal.protocol,
            refusal.listener.kind, refusal.listener.uid, port};
}

void add(RefusalGroup& group, const Refusal& refusal) {
    group.verb = verb_of(refusal);
    group.reason = refusal.reason;
    group.protocol = refusal.protocol;
    group.listener = refusal.listener.uid;
    group.listener_kind = refusal.listener.kind;
    group.flows += refusal.count;
    group.ports.insert(refusal.to.port);
    group.places.insert(refusal.to.address);
    group.sources.insert(refusal.from.address);
    if (refusal.connector.uid) {
        group.connectors[*refusal.connector.uid] += refusal.count;
        group.ways.insert({*refusal.connector.uid, refusal.to.port, refusal.to.address});
    } else {
        group.unknown_connectors += refusal.count;
    }
    if (!refusal.listener.program.empty())
        group.programs.insert(refusal.listener.program);
    const std::set<std::uint32_t> groups(refusal.common_groups.begin(),
                                         refusal.common_groups.end());
    if (!group.groups)
        group.groups = groups;
    else
        std::erase_if(*group.groups, [&](std::uint32_t gid) { return !groups.contains(gid); });
}

template<typename Items, typename Show>
std::string some_of(const Items& items, Show show) {
    std::vector<std::string> shown;
    for (const auto& item : items)
        if (shown.size() < few)
            shown.push_back(show(item));
    auto text = fmt::format("{}", fmt::join(shown, ", "));
    if (items.size() > few)
        text += fmt::format(" and {} more", items.size() - few);
    return text;
}

std::string ports_text(const RefusalGroup& group) {
    if (group.ports.size() <= few)
        return fmt::format("{}/{}", group.protocol, fmt::join(group.ports, ","));
    return fmt::format("{}/{}-{} ({} ports)", group.protocol, *group.ports.begin(),
                       *group.ports.rbegin(), group.ports.size());
}

std::string server_text(const RefusalGroup& group, Names& names) {
    const auto whose = group.listener ? names.user(*group.listener)
                       : group.listener_kind.empty() || group.listener_kind == "unknown"
                           ? std::string("nobody known")
                           : group.listener_kind;
    auto text =
        fmt::format("of {} at {}", whose,
                    some_of(group.places, [](const Address& place) { return to_string(place); }));
    if (!group.programs.empty())
        text += fmt::format(" ({})",
                            some_of(group.programs, [](const std::string& each) { return each; }));
    return text;
}

std::string connectors_text(const RefusalGroup& group, Names& names) {
    std::string text;
    if (!group.connectors.empty())
        text = fmt::format(
            "{}: {}", counted(group.connectors.size(), "user"),
            some_of(group.connectors, [&](const auto& entry) { return names.user(entry.first); }));
    if (group.unknown_connectors > 0)
        text += fmt::format(
            "{}{} of nobody known, from {}", text.empty() ? "" : "; ", group.unknown_connectors,
            some_of(group.sources, [](const Address& source) { return to_string(source); }));
    return text;
}

std::string groups_text(const RefusalGroup& group, Names& names) {
    if (!group.groups || group.groups->empty() || group.unknown_connectors > 0)
        return {};
    return fmt::format("; all are members of group {}",
                       some_of(*group.groups, [&](std::uint32_t gid) { return names.group(gid); }));
}

std::string items_of(const RefusalGroup& group, Names& names) {
    std::string text;
    for (const auto& way : group.ways)
        text += fmt::format("    \"{}>{} {}/{}@{}\",\n", names.user(way.connector),
                            names.user(*group.listener), group.protocol == "udp" ? "udp" : "tcp",
                            way.port, to_string(way.place));
    return text;
}

bool is_between_users(const RefusalGroup& group) {
    return (group.reason == Reason::different_user || group.reason == Reason::label_required) &&
           group.listener && group.unknown_connectors == 0 && group.ways.size() <= most_ways;
}

} // namespace

std::vector<RefusalGroup> group(const std::vector<Refusal>& refusals) {
    std::map<Key, std::set<Port>> ports;
    for (const auto& refusal : refusals)
        ports[key_of(refusal, std::nullopt)].insert(refusal.to.port);
    std::map<Key, RefusalGroup> groups;
    for (const auto& refusal : refusals) {
        const auto of_all = key_of(refusal, std::nullopt);
        const bool many = ports[of_all].size() > many_ports;
        add(groups[many ? of_all : key_of(refusal, refusal.to.port)], refusal);
    }
    std::vector<RefusalGroup> sorted;
    sorted.reserve(groups.size());
    for (auto& [key, group] : groups)
        sorted.push_back(std::move(group));
    std::ranges::stable_sort(sorted, std::ranges::greater{}, &RefusalGroup::flows);
    return sorted;
}

std::string to_text(const RefusalGroup& group, Names& names) {
    return fmt::format("{:>7}  {} {}: {}, by {}{}\n", group.flows, ports_text(group),
                       server_text(group, names), to_string(group.reason),
                       connectors_text(group, names), groups_text(group, names));
}

std::string suggestion(const std::vector<RefusalGroup>& groups, Names& names) {
    std::string items;
    std::string others;
    for (const auto& each : groups) {
        const auto about = fmt::format("# {} flows: {} {}: {}\n", each.flows, ports_text(each),
                                       server_text(each, names), to_string(each.reason));
        if (!is_between_users(each)) {
            others +=
                fmt::format("{}# No setting opens just this: {}.\n", about, hint(each.reason));
            continue;
        }
        items += "    " + about;
        if (each.groups && !each.groups->empty())
            items += fmt::format("    # {} can open it without you, to group {}: sg {} 'COMMAND'\n",
                                 names.user(*each.listener), names.group(*each.groups->begin()),
                                 names.group(*each.groups->begin()));
        items += items_of(each, names);
    }
    if (items.empty())
        return others;
    return fmt::format("{}[policy]\nallow = [\n{}]\n", others, items);
}

} // namespace ubf::ctl
