// The UDP flows that are allowed by our connection mark, and the sockets they were allowed for. UDP
// has no end of its own: when a socket at either end goes away, the kernel must forget the flow, or
// whoever binds the port next would inherit it.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/udp/departures.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"

#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace ubf {

class UdpFlows {
  public:
    // Before the verdict: this flow is about to be allowed for these sockets of ours, and for the
    // peer's. False when one of them may be gone since they were looked up, which was begun at
    // `since`: then the packet must not be allowed.
    bool remember(const Flow& flow, Cookie local, std::optional<Cookie> other, TimePoint since);
    // After the verdict: true while both sockets are there; else the kernel is told to forget.
    bool confirm(const Flow& flow);

    // A socket of this node is gone.
    void forget(Cookie cookie);
    // The socket at the peer's end of this flow is gone.
    void forget(const Flow& flow);
    // Nothing is certain any more: every flow asks again.
    void forget_all();

    std::size_t size() const;

  private:
    struct Sockets {
        Cookie local;
        std::optional<Cookie> other;
    };

    void erase(const Flow& flow);
    void unlink(Cookie cookie, const Flow& flow);

    static constexpr std::size_t most = 65536;

    mutable std::mutex mutex_;
    Conntrack conntrack_;
    std::unordered_map<Flow, Sockets> flows_;
    std::unordered_map<Cookie, std::unordered_set<Flow>> by_socket_;
    Departures<Cookie> gone_sockets_;
    Departures<Flow> gone_flows_;
};

} // namespace ubf
