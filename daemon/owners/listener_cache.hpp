// The owners of listeners that a search has found, for a while. Any thread may call.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/owners/changes.hpp"
#include "owner/lookup.hpp"

#include <optional>
#include <unordered_map>
#include <vector>

namespace ubf {

class ListenerCache {
  public:
    std::optional<Owner> find(const SocketOwner& socket) const;
    // Unless the labels of the owner have changed since then.
    void add(const SocketOwner& socket, const Owner& owner, const Changes& changes,
             Changes::Moment then);
    // After the change was noted: a search under way adds nothing stale.
    void forget(Uid uid);
    void forget_all();

    static constexpr std::size_t most = 16384;

  private:
    // The sockets of one listener, in order.
    using Cookies = std::vector<Cookie>;
    struct Entry {
        Cookies sockets;
        Owner owner;
        TimePoint found;
    };
    using Entries = std::unordered_map<Cookie, Entry>; // by the first of their sockets

    static Cookies cookies_of(const SocketOwner& socket);

    Guarded<Entries> entries_;
};

} // namespace ubf
