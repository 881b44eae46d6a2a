#include "daemon/surroundings.hpp"

#include "base/interfaces.hpp"
#include "daemon/neighbour_tables.hpp"
#include "flow/own_address.hpp"
#include "nft/inspection.hpp"
#include "nft/neighbours.hpp"
#include "nft/sets.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf {
namespace {

constexpr std::chrono::seconds addresses_pause{10};
constexpr std::chrono::seconds sets_pause{2};
static_assert(sets_pause < nft::multicast_kept && sets_pause < nft::over_limit_kept);

} // namespace

Surroundings::Surroundings(Log& log)
  : log_(log)
  , neighbours_full_(neighbour_tables_full()) {}

void Surroundings::look(const Config& config, TimePoint now) {
    if (now >= addresses_due_) {
        addresses_due_ = now + addresses_pause;
        auto found = unlisted_addresses(config);
        for (auto& warning : interface_warnings(config, interface_names()))
            found.push_back(std::move(warning));
        for (auto& warning : neighbour_warnings())
            found.push_back(std::move(warning));
        tell(addresses_, found);
        addresses_ = std::move(found);
    }
    look_at_rules();
    look_at_sets(config, now);
}

// If a set can't be read, the next look reads it.
void Surroundings::look_at_sets(const Config& config, TimePoint now) {
    if (now < sets_due_)
        return;
    sets_due_ = now + sets_pause;
    over_limit_.clear();
    if (config.limits.any())
        over_limit_ = nft::users_over_limit(connection_).value_or(std::vector<Uid>());
    const auto dropped = nft::dropped_multicast(connection_);
    if (!dropped)
        return;
    for (auto& news : multicast_.tell(*dropped, now))
        log_.info(std::move(news));
}

// Link-local addresses say nothing about the network, and packets to them are judged as unlisted
// anyway.
std::vector<std::string> Surroundings::unlisted_addresses(const Config& config) {
    std::vector<std::string> found;
    for (const auto& own : own_addresses()) {
        if (own.is_loopback || own.address.is_on_link_only())
            continue;
        const auto link = links_.find(own.interface);
        const bool fabric = config.fabric.enabled && link && link->is_fabric();
        if (!contains(fabric ? config.fabric_peers() : config.peers.ranges, own.address))
            found.push_back(fmt::format(
                "{} ({}) of this node is in no range of {}: ubfd refuses all that other machines "
                "send to it, even answers over UDP, as unlisted; add it to the ranges, and the "
                "nodes on that network",
                to_string(own.address), own.name,
                fabric && !config.fabric.peers.empty() ? "fabric.peers" : "peers.ranges"));
    }
    std::ranges::sort(found);
    return found;
}

std::vector<std::string> Surroundings::neighbour_warnings() const {
    if (neighbour_tables_full() == neighbours_full_)
        return {};
    return {"the kernel's table of neighbours (ARP, NDP) has been full: connections to some nodes "
            "failed, with or without ubfd; raise net.ipv4.neigh.default.gc_thresh3 and its like of "
            "IPv6, as 90-ubf.conf in sysctl.d proposes"};
}

std::vector<std::string> Surroundings::others() const {
    auto all = nft::legacy_tables();
    all.insert(all.end(), others_.begin(), others_.end());
    return all;
}

void Surroundings::look_at_rules() {
    const auto generation = nft::generation(connection_);
    if (!generation || generation_ == *generation)
        return;
    auto found = nft::disturbances(connection_);
    auto others = nft::refusals_of_others(connection_);
    if (!found || !others)
        return; // rules were changed meanwhile; the next look reads them again
    generation_ = *generation;
    others_ = std::move(*others);
    tell(rules_, *found);
    rules_ = std::move(*found);
}

void Surroundings::tell(const std::vector<std::string>& before,
                        const std::vector<std::string>& after) {
    for (const auto& warning : after)
        if (std::ranges::find(before, warning) == before.end())
            log_.warning(warning);
}

std::vector<std::string> Surroundings::warnings() const {
    auto all = addresses_;
    all.insert(all.end(), rules_.begin(), rules_.end());
    return all;
}

} // namespace ubf
