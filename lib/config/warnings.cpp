// Finds valid settings that are probably mistakes.
#include "config/config.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <span>

namespace ubf {
namespace {

// Whether the range holds loopback addresses (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
bool is_loopback(const Prefix& place) {
    static const auto v4 = *Prefix::parse("127.0.0.0/8");
    static const auto v6 = *Prefix::parse("::1");
    return v4.overlaps(place) || v6.overlaps(place);
}

bool covers(const Prefix& place, const Prefix& range) {
    return place.length() <= range.length() && place.contains(range.first());
}

std::string name_of(const UidRange& users) {
    if (users.first == users.last)
        return users.first == Uid{0} ? "root" : fmt::format("uid {}", value(users.first));
    return fmt::format("uids {} to {}", value(users.first), value(users.last));
}

// A list of exemptions, and the peers for which it holds.
struct List {
    std::string_view key;
    const std::vector<Exemption>& exemptions;
    const std::vector<Prefix>& peers;
};

// Any user on a compute node can run a set-user-ID program of root's, and may choose where it
// connects.
void warn_of_root(const List& list, std::vector<std::string>& warnings) {
    const bool anywhere = std::ranges::any_of(list.exemptions, [&](const Exemption& exemption) {
        return exemption.users.contains(Uid{0}) &&
               (!exemption.at || std::ranges::any_of(list.peers, [&](const Prefix& range) {
                   return covers(*exemption.at, range);
               }));
    });
    if (anywhere)
        warnings.push_back(
            fmt::format("{}: root of every node may connect to everybody, and so may anybody who "
                        "gets a set-user-ID program to connect; name the node, like "
                        "\"root@10.0.0.1\" for the scheduler's",
                        list.key));
}

// A range of all addresses makes every machine a peer, and leaves none outside.
void warn_of_ranges(std::string_view key, const std::vector<Prefix>& ranges,
                    std::vector<std::string>& warnings) {
    for (const auto& range : ranges)
        if (range.length() == 0)
            warnings.push_back(fmt::format(
                "{}: {} is the whole internet: ubfd would ask any machine in it who its users are, "
                "and trust the answer of none; write the addresses of the nodes that run ubfd",
                key, to_string(range)));
}

void warn_of_nobody(const List& list, std::vector<std::string>& warnings) {
    for (const auto& exemption : list.exemptions) {
        const auto& at = exemption.at;
        if (!at || is_loopback(*at))
            continue;
        const bool is_peer = std::ranges::any_of(
            list.peers, [&](const Prefix& range) { return range.overlaps(*at); });
        if (!is_peer)
            warnings.push_back(
                fmt::format("{}: {} at {} matches nobody, because no range of the peers has that "
                            "address, and only a peer can name its users; write an address of a "
                            "node, or exempt a port",
                            list.key, name_of(exemption.users), to_string(*at)));
    }
}

// A portal whose connections are exempt reaches everybody, whoever is logged in.
void warn_of_portals(const List& list, const Portal& portal, std::vector<std::string>& warnings) {
    for (const auto& user : portal.users)
        if (std::ranges::any_of(list.exemptions, [&](const Exemption& exemption) {
                return exemption.users.contains(user);
            }))
            warnings.push_back(
                fmt::format("{}: uid {} is exempt and in portal.users, so whoever is logged in at "
                            "its portal reaches every user; leave the exemption out",
                            list.key, value(user)));
}

} // namespace

std::vector<std::string> warnings(const Config& config) {
    const auto& peers = config.peers.ranges;
    // The exemptions of [policy] hold on both networks.
    auto all = peers;
    all.insert(all.end(), config.fabric.peers.begin(), config.fabric.peers.end());
    const auto& policy = config.policy;
    const auto& fabric = config.fabric;
    const List connectors[] = {
        {"policy.exempt_connectors", policy.exempt_connectors, all},
        {"fabric.exempt_connectors", fabric.exempt_connectors, config.fabric_peers()}};
    const List listeners[] = {
        {"policy.exempt_listeners", policy.exempt_listeners, all},
        {"fabric.exempt_listeners", fabric.exempt_listeners, config.fabric_peers()}};
    auto warnings = config.source.retired;
    warnings.insert(warnings.end(), config.slurm.warnings.begin(), config.slurm.warnings.end());
    if (config.observed.all)
        warnings.emplace_back("policy.mode: NOTHING IS REFUSED on this node, which only observes; "
                              "the log has lines with would-deny, and 'ubfctl report' sums them "
                              "up; set \"enforce\" when you are content with it");
    if (config.ident.require_certificates && config.identity.classes.empty())
        warnings.emplace_back("identity.classes: there are none, so a node may speak for every "
                              "user, root included; write one for each class of the certificates");
    if (!config.identity.classes.empty() && !config.ident.require_certificates)
        warnings.emplace_back("ident.require_certificates: false, so whoever has the cluster key "
                              "goes around identity.classes; set it once all nodes have "
                              "certificates");
    if (all.empty())
        warnings.emplace_back("peers.ranges: no peers are listed, so no user reaches a program on "
                              "another node; write the addresses of the nodes that run ubfd, like "
                              "[\"10.0.0.0/16\"]");
    warn_of_ranges("peers.ranges", peers, warnings);
    warn_of_ranges("fabric.peers", config.fabric.peers, warnings);
    for (const auto& list : connectors) {
        warn_of_root(list, warnings);
        warn_of_portals(list, config.portal, warnings);
    }
    for (const auto& lists : {std::span(connectors), std::span(listeners)})
        for (const auto& list : lists)
            warn_of_nobody(list, warnings);
    return warnings;
}

std::vector<std::string> interface_warnings(const Config& config,
                                            const std::vector<std::string>& present) {
    const auto& scope = config.scope.interfaces;
    std::vector<std::string> missing;
    for (const auto& pattern : scope.listed)
        if (std::ranges::none_of(present, [&](const auto& name) { return pattern.matches(name); }))
            missing.push_back(pattern.text());
    if (missing.empty())
        return {};
    std::vector<std::string> unwatched;
    for (const auto& name : present)
        if (!scope.watches(name))
            unwatched.push_back(name);
    return {fmt::format("{} names {}, which this node does not have: {} of its {} interfaces are "
                        "watched, and everybody reaches everybody over {}; write the names that "
                        "'ip link' shows, or leave the list out to watch all",
                        scope.except ? "scope.except_interfaces" : "scope.interfaces",
                        fmt::join(missing, ", "), present.size() - unwatched.size(), present.size(),
                        unwatched.empty() ? "no other"
                                          : fmt::format("{}", fmt::join(unwatched, ", ")))};
}

} // namespace ubf
