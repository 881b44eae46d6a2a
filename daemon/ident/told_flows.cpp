#include "daemon/ident/told_flows.hpp"

#include <algorithm>
#include <sodium.h>

namespace ubf::ident {
namespace {

// A notice is retransmitted five times, within about three seconds. If all are lost, the peer keeps
// the flow until the kernel's own UDP timeout.
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds last_pause{1600};

} // namespace

std::size_t ToldFlows::Flows::put(Entry entry) {
    auto& socket = sockets_[entry.cookie];
    if (const auto known = socket.find(entry.flow); known != socket.end()) {
        known->second->told = entry.told;
        touch(known->second, entry.looked);
        return 0;
    }
    auto& entries = users_[entry.uid];
    entries.push_back(entry);
    socket.emplace(entry.flow, std::prev(entries.end()));
    if (++size_ <= most_)
        return 0;
    const auto count = [](const auto& user) { return user.second.size(); };
    remove(std::ranges::max_element(users_, {}, count)->second.begin());
    return 1;
}

void ToldFlows::Flows::remove(Entries::iterator place) {
    const auto socket = sockets_.find(place->cookie);
    socket->second.erase(place->flow);
    if (socket->second.empty())
        sockets_.erase(socket);
    const auto user = users_.find(place->uid);
    user->second.erase(place);
    if (user->second.empty())
        users_.erase(user);
    --size_;
}

void ToldFlows::Flows::touch(Entries::iterator place, TimePoint looked) {
    auto& entries = users_.find(place->uid)->second;
    place->looked = looked;
    entries.splice(entries.end(), entries, place);
}

std::size_t ToldFlows::add(Cookie cookie, Uid uid, const Flow& flow, const Path& path,
                           std::uint32_t interface) {
    return sockets_.put({cookie, uid, flow, {path, interface}});
}

std::size_t ToldFlows::add_labelled(Cookie cookie, Uid uid, const Flow& flow, const Path& path,
                                    std::uint32_t interface, TimePoint now) {
    return labels_.put({cookie, uid, flow, {path, interface}, now});
}

std::vector<ToldFlows::Notice> ToldFlows::withdrawn(Uid uid, TimePoint now,
                                                    const StillThere& still_there) {
    std::vector<Notice> notices;
    const auto user = labels_.users().find(uid);
    if (user == labels_.users().end())
        return notices;
    for (auto left = user->second.size(); left > 0; --left) {
        const auto entry = user->second.begin();
        if (still_there(entry->flow, entry->told))
            notices.push_back(notice(entry->flow, entry->told, now));
        labels_.remove(entry);
    }
    return notices;
}

std::vector<Uid> ToldFlows::labelled() const {
    std::vector<Uid> users;
    for (const auto& [uid, flows] : labels_.users())
        users.push_back(uid);
    return users;
}

void ToldFlows::look_after(TimePoint now, const StillThere& still_there) {
    if (labels_.size() == 0 || now < next_look_)
        return;
    next_look_ = now + look_pause;
    std::vector<Flows::Entries::iterator> old;
    for (auto& [uid, entries] : labels_.users())
        for (auto entry = entries.begin(); entry != entries.end() && old.size() < most_at_once &&
                                           now - entry->looked >= looked_at_every;
             ++entry)
            old.push_back(entry);
    for (const auto entry : old) {
        if (still_there(entry->flow, entry->told))
            labels_.touch(entry, now);
        else
            labels_.remove(entry);
    }
}

ToldFlows::Notice ToldFlows::notice(const Flow& flow, const Told& told, TimePoint now) {
    std::uint64_t nonce = 0;
    randombytes_buf(&nonce, sizeof nonce);
    Notice notice{{Nonce{nonce}, flow}, told.path, told.interface};
    const auto again = now + first_pause;
    if (unseen_.size() < most &&
        unseen_.try_emplace(Nonce{nonce}, Unseen{notice, again, first_pause}).second)
        order_.emplace(again, Nonce{nonce});
    return notice;
}

std::vector<ToldFlows::Notice> ToldFlows::gone(Cookie cookie, TimePoint now) {
    const auto socket = sockets_.sockets().find(cookie);
    if (socket == sockets_.sockets().end())
        return {};
    std::vector<Notice> notices;
    for (auto left = socket->second.size(); left > 0; --left) {
        const auto entry = socket->second.begin()->second;
        notices.push_back(notice(entry->flow, entry->told, now));
        sockets_.remove(entry);
    }
    return notices;
}

std::vector<ToldFlows::Notice> ToldFlows::all_gone(TimePoint now) {
    std::vector<Notice> notices;
    while (sockets_.size() > 0) {
        auto more = gone(sockets_.sockets().begin()->first, now);
        std::ranges::move(more, std::back_inserter(notices));
    }
    return notices;
}

void ToldFlows::seen(Nonce nonce, const Path& path) {
    const auto found = unseen_.find(nonce);
    if (found == unseen_.end() || found->second.notice.path.to != path.from)
        return;
    order_.erase({found->second.again, nonce});
    unseen_.erase(found);
}

std::vector<ToldFlows::Notice> ToldFlows::due(TimePoint now) {
    std::vector<Notice> notices;
    while (!order_.empty() && order_.begin()->first <= now && notices.size() < most_at_once) {
        const auto nonce = order_.begin()->second;
        order_.erase(order_.begin());
        const auto found = unseen_.find(nonce);
        auto& unseen = found->second;
        if (unseen.pause > last_pause) {
            unseen_.erase(found);
            continue;
        }
        notices.push_back(unseen.notice);
        unseen.pause *= 2;
        unseen.again = now + unseen.pause;
        order_.emplace(unseen.again, nonce);
    }
    return notices;
}

std::optional<TimePoint> ToldFlows::next() const {
    std::optional<TimePoint> when;
    if (!order_.empty())
        when = order_.begin()->first;
    if (labels_.size() > 0 && (!when || next_look_ < *when))
        when = next_look_;
    return when;
}

} // namespace ubf::ident
