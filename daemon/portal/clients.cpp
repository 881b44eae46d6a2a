#include "daemon/portal/clients.hpp"

#include <algorithm>
#include <map>

namespace ubf::portal {

void Clients::add(int fd, Peer peer, TimePoint now) {
    clients_[fd] = {peer, now};
}

std::optional<Peer> Clients::peer(int fd) const {
    const auto found = clients_.find(fd);
    return found == clients_.end() ? std::nullopt : std::optional(found->second.peer);
}

void Clients::begin(int fd) {
    if (const auto found = clients_.find(fd); found != clients_.end())
        found->second.state = State::waits;
}

void Clients::answer(int fd, TimePoint now) {
    enter(fd, State::answered, now);
}

void Clients::end(int fd, TimePoint now) {
    enter(fd, State::idle, now);
}

void Clients::enter(int fd, State state, TimePoint now) {
    if (const auto found = clients_.find(fd); found != clients_.end()) {
        found->second.state = state;
        found->second.idle_since = now;
    }
}

Clients::Room Clients::make_room(Uid newcomer, TimePoint now) {
    std::map<Uid, std::size_t> numbers;
    for (const auto& [fd, client] : clients_)
        ++numbers[client.peer.uid];
    const bool has_share = numbers[newcomer] >= limits_.of_one;
    if (!has_share && size() < limits_.in_all)
        return {true};
    const auto most =
        std::ranges::max_element(numbers, {}, [](const auto& number) { return number.second; });
    const auto evicted = evict_one_of(has_share ? newcomer : most->first, now);
    return {evicted.has_value(), evicted};
}

std::optional<int> Clients::evict_one_of(Uid uid, TimePoint now) {
    auto longest = clients_.end();
    for (auto client = clients_.begin(); client != clients_.end(); ++client)
        if (client->second.peer.uid == uid && client->second.state == State::idle &&
            client->second.idle_since < now &&
            (longest == clients_.end() || client->second.idle_since < longest->second.idle_since))
            longest = client;
    if (longest == clients_.end())
        return std::nullopt;
    const int fd = longest->first;
    clients_.erase(longest);
    return fd;
}

std::vector<int> Clients::take_overdue(TimePoint now) {
    std::vector<int> overdue;
    std::erase_if(clients_, [&](const auto& entry) {
        const bool late =
            entry.second.state != State::waits && now - entry.second.idle_since >= most_idle;
        if (late)
            overdue.push_back(entry.first);
        return late;
    });
    return overdue;
}

} // namespace ubf::portal
