// TCP listeners that everybody may connect to, because their users are exempt: the kernel lets
// their connections begin without asking, for as long as they live. A thread of its own, which
// hears of the end of every listener on the node, while there is such a verdict to take back.
//
// Only TCP: there no two users can listen at one place at a time. (Another's socket can have the
// same port and connect from it; chain output lets nobody but the listener's user answer from
// there.) Not those of the kernel, of whose end it says nothing.
#pragma once

#include "base/deadlines.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/loop_thread.hpp"
#include "netlink/destroy_notices.hpp"
#include "nft/verdict_sets.hpp"
#include "owner/lookup.hpp"

#include <atomic>
#include <set>
#include <unordered_map>
#include <utility>
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

    std::size_t size() const { return size_; }
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    void go_on(TimePoint now);
    void keep(const nft::ListenerKey& place, Cookie cookie, Uid holder);
    bool is_there(const nft::ListenerKey& place, Cookie cookie);
    void erase_expired(TimePoint now);
    void receive();
    void forget(Cookie cookie);
    bool has(const Endpoint& place) const;
    void clear();

    FlowCounters& counters_;
    DestroyNotices notices_{DestroyNotices::Of::tcp_listeners};
    std::vector<Cookie> gone_; // kept for its room
    nft::VerdictSets sets_;
    OwnerLookup lookup_;
    struct Listener {
        Uid holder{};
        std::set<nft::ListenerKey> places{};
    };
    std::unordered_map<Cookie, Listener> listeners_;
    Deadlines<std::pair<Cookie, nft::ListenerKey>, Times::in_order> expiries_; // of their places
    std::atomic<std::size_t> size_{0};
    LoopThread thread_{"listeners"};
};

} // namespace ubf
