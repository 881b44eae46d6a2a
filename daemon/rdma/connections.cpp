#include "daemon/rdma/connections.hpp"

#include "base/json.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace ubf::rdma {

void Connections::merge(const std::vector<CmId>& table, TimePoint now) {
    Listeners listeners;
    for (const auto& id : table)
        listeners.add(id);
    auto before = std::exchange(entries_, {});
    want_pairs_ = false;
    for (const auto& id : table) {
        auto node = before.extract(id.key);
        auto entry = node.empty() ? Entry{} : std::move(node.mapped());
        entry.old = entry.old || !begun_;
        const bool other_pair = entry.id.queue_pair != id.queue_pair;
        entry.id = id;
        if (!entry.seen && is_connection(entry.id)) {
            entry.seen = true;
            entry.since = now;
            entry.ours = entry.id.source;
            entry.theirs = *entry.id.destination;
            entry.looked = false; // its maker may be another user's by now
            // One that is gone already was there when we looked before, or the connection were.
            auto listener = listeners.of(entry.id);
            if (!listener)
                listener = listeners_before_.of(entry.id);
            entry.end = listener ? End::listener : End::connector;
            want_pairs_ = true;
        }
        const bool unsettled = entry.seen && (other_pair || !entry.established);
        want_pairs_ = want_pairs_ || unsettled;
        entries_.emplace(entry.id.key, std::move(entry));
    }
    listeners_before_ = std::move(listeners);
    begun_ = true;
    for (const auto& [key, entry] : before)
        if (entry.told)
            gone_.push_back(key);
}

std::vector<std::pair<CmKey, Pid>> Connections::take_new_makers() {
    std::vector<std::pair<CmKey, Pid>> makers;
    for (auto& [key, entry] : entries_)
        if (!std::exchange(entry.looked, true) && entry.id.maker.task)
            makers.emplace_back(key, *entry.id.maker.task);
    return makers;
}

void Connections::learn(std::map<CmKey, Holder> read, const std::vector<CmId>& table_afterwards) {
    for (const auto& id : table_afterwards) {
        auto process = read.extract(id.key);
        const auto entry = entries_.find(id.key);
        if (!process.empty() && entry != entries_.end() && id.maker == entry->second.id.maker)
            entry->second.process = std::move(process.mapped());
    }
}

// A connection whose queue pair isn't there any more, or never is, as of datagrams, is taken for
// established.
std::size_t Connections::see(const std::vector<QueuePair>& pairs) {
    using Name = std::pair<std::uint32_t, std::uint32_t>; // device and number
    std::map<Name, const QueuePair*> unmanaged;
    for (const auto& pair : pairs)
        unmanaged.emplace(Name{pair.device, pair.number}, &pair);
    for (auto& [key, entry] : entries_) {
        const auto pair = unmanaged.extract(Name{key.device, entry.id.queue_pair});
        entry.established = pair.empty() || entry.id.queue_pair == 0 ||
                            pair.mapped()->is_connected() || !pair.mapped()->has_other_end();
    }
    return static_cast<std::size_t>(std::ranges::count_if(unmanaged, [](const auto& each) {
        return each.second->is_connected() && !each.second->maker.kernel;
    }));
}

const Connections::Entry* Connections::find(const CmKey& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

std::size_t Connections::number() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        entries_, [](const auto& each) { return is_connection(each.second.id); }));
}

void Connections::tell_all_again() {
    gone_.clear();
    for (auto& [key, entry] : entries_)
        entry.told = false;
}

// A connection that had ended before anybody was told of it is none of ubfd's business.
bool Connections::is_news(const Entry& entry) {
    if (!entry.told)
        return entry.seen && is_connection(entry.id);
    return std::tuple(entry.told_connected, entry.told_established) !=
           std::tuple(is_connection(entry.id), entry.established);
}

bool Connections::has_news() const {
    return !gone_.empty() ||
           std::ranges::any_of(entries_, [](const auto& each) { return is_news(each.second); });
}

void Connections::tell(Report& report) {
    constexpr std::size_t most_gone = 1000;
    while (!gone_.empty() && report.gone.size() < most_gone) {
        report.gone.push_back(gone_.back());
        gone_.pop_back();
    }
    std::size_t length = 0;
    for (auto& [key, entry] : entries_) {
        if (length >= good_line)
            return;
        if (!is_news(entry))
            continue;
        auto connection = describe(entry);
        length += to_line(to_json(connection)).size();
        report.connections.push_back(std::move(connection));
        entry.told = true;
        entry.told_connected = is_connection(entry.id);
        entry.told_established = entry.established;
    }
}

Connection Connections::describe(const Entry& entry) const {
    Connection connection;
    const auto& id = entry.id;
    connection.key = id.key;
    connection.port_space = id.port_space;
    connection.ours = entry.ours;
    connection.theirs = entry.theirs;
    connection.interface = id.interface;
    connection.end = entry.end;
    connection.connected = is_connection(id);
    connection.established = entry.established;
    connection.old = entry.old;
    connection.kernel = id.maker.kernel;
    connection.process = entry.process;
    // The kernel names an accepted end after the listener's maker (cma.c,
    // rdma_restrack_parent_name).
    if (!entry.process && entry.end == End::listener)
        if (const auto key = listeners_before_.of(id))
            if (const auto* listener = find(*key))
                connection.process = listener->process;
    return connection;
}

} // namespace ubf::rdma
