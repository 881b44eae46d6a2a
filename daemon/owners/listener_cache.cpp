#include "daemon/owners/listener_cache.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ubf {
namespace {

// The holders of a listener change with its processes: they are looked up again after this.
constexpr std::chrono::seconds fresh{10};

} // namespace

ListenerCache::Cookies ListenerCache::cookies_of(const SocketOwner& socket) {
    Cookies cookies{socket.socket.cookie};
    for (const auto& other : socket.sharing)
        cookies.push_back(other.cookie);
    std::ranges::sort(cookies);
    return cookies;
}

std::optional<Owner> ListenerCache::find(const SocketOwner& socket) const {
    const auto sockets = cookies_of(socket);
    const auto entries = entries_.lock();
    const auto found = entries->find(sockets.front());
    if (found == entries->end() || found->second.sockets != sockets ||
        Clock::now() - found->second.found > fresh)
        return std::nullopt;
    return found->second.owner;
}

void ListenerCache::add(const SocketOwner& socket, const Owner& owner, const Changes& changes,
                        Changes::Moment then) {
    auto sockets = cookies_of(socket);
    const auto entries = entries_.lock();
    if (changes.since(then, owner.uid))
        return;
    const auto now = Clock::now();
    if (entries->size() >= most)
        std::erase_if(*entries, [&](const auto& each) { return now - each.second.found > fresh; });
    if (entries->size() >= most)
        entries->clear();
    const Cookie first = sockets.front();
    (*entries)[first] = {std::move(sockets), owner, now};
}

void ListenerCache::forget(Uid uid) {
    std::erase_if(*entries_.lock(), [&](const auto& each) { return each.second.owner.uid == uid; });
}

void ListenerCache::forget_all() {
    entries_.lock()->clear();
}

} // namespace ubf
