#include "daemon/portal/clients.hpp"

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
        found->second.waits = true;
}

void Clients::end(int fd, TimePoint now) {
    if (const auto found = clients_.find(fd); found != clients_.end()) {
        found->second.waits = false;
        found->second.idle_since = now;
    }
}

std::optional<int> Clients::evict() {
    if (!is_full())
        return std::nullopt;
    std::map<Uid, std::size_t> numbers;
    for (const auto& [fd, client] : clients_)
        if (!client.waits)
            ++numbers[client.peer.uid];
    auto first = clients_.end();
    for (auto client = clients_.begin(); client != clients_.end(); ++client) {
        if (client->second.waits)
            continue;
        const auto rank = [&](const Client& one) { return numbers[one.peer.uid]; };
        if (first == clients_.end() || rank(client->second) > rank(first->second) ||
            (rank(client->second) == rank(first->second) &&
             client->second.idle_since < first->second.idle_since))
            first = client;
    }
    if (first == clients_.end())
        return std::nullopt;
    const int fd = first->first;
    clients_.erase(first);
    return fd;
}

std::vector<int> Clients::take_overdue(TimePoint now) {
    std::vector<int> overdue;
    std::erase_if(clients_, [&](const auto& entry) {
        const bool late = !entry.second.waits && now - entry.second.idle_since >= most_idle;
        if (late)
            overdue.push_back(entry.first);
        return late;
    });
    return overdue;
}

} // namespace ubf::portal
