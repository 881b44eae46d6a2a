// TCP listeners that everybody may connect to, because their users are exempt: the kernel lets
// their connections begin without asking, for as long as they live. A thread of its own, which
// hears of the end of every listener on the node, while there is such a verdict to take back.
//
// Only TCP: there no two users can listen at one place at a time. (Another's socket can have the
// same port and connect from it; chain output lets nobody but the listener's user answer from
// there.) Not those of the kernel, of whose end it says nothing.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/loop_thread.hpp"
#include "daemon/gate/exempt_places.hpp"
#include "netlink/destroy_notices.hpp"
#include "nft/verdict_sets.hpp"
#include "owner/lookup.hpp"

#include <optional>
#include <vector>

namespace ubf {

class ExemptListeners {
  public:
    // Forgets what a ubfd before us left. Throws std::system_error, NftError.
    ExemptListeners(nft::Connection& table, FlowCounters& counters);
    ~ExemptListeners() { thread_.stop(); }

    // By any thread. The socket there was found to be exempt, and is this user's.
    void add(const nft::ListenerKey& place, Cookie cookie, Uid holder);
    // The policy is another.
    void forget_all();

    std::size_t size() const { return places_.size(); }
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    void go_on(TimePoint now);
    void keep(const nft::ListenerKey& place, Cookie cookie, Uid holder);
    bool is_there(const nft::ListenerKey& place, Cookie cookie);
    void receive();
    void forget(Cookie cookie);
    void clear();

    FlowCounters& counters_;
    DestroyNotices notices_{DestroyNotices::Of::tcp_listeners};
    std::vector<Cookie> gone_; // kept for its room
    nft::VerdictSets sets_;
    OwnerLookup lookup_;
    ExemptPlaces places_;
    std::optional<TimePoint> clear_at_; // the kernel could not be told to forget all
    LoopThread thread_{"listeners"};
};

} // namespace ubf
