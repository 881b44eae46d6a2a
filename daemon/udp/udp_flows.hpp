// The UDP flows that are allowed by our connection mark, and the sockets they were allowed for. UDP
// has no end of its own: when a socket at either end goes away, the kernel must forget the flow, or
// whoever binds the port next would inherit it. And since a notice of that can get lost, with a
// peer that dies for one, each flow is allowed for a while only, and is then decided anew
// (worker.hpp).
#pragma once

#include "config/config.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/udp/departures.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace ubf {

class UdpFlows {
  public:
    // One permission of one flow.
    enum class Lease : std::uint64_t {};

    // mark: whatever flows the kernel still has by it, of a ubfd before us, are forgotten. Throws
    // std::system_error.
    explicit UdpFlows(Mark mark);
    ~UdpFlows();

    // --- by threads with CAP_NET_ADMIN ---

    // Before the verdict: this flow is about to be allowed for these sockets of ours, and for the
    // peer's. Nothing when one of them may be gone since they were looked up, which was begun at
    // `since`: then the packet must not be allowed.
    std::optional<Lease> remember(const Flow& flow, Cookie local, std::optional<Cookie> other,
                                  TimePoint since);
    // After the verdict: true while the lease holds; else the kernel is told to forget the flow.
    bool confirm(const Flow& flow, Lease lease);
    // Whether the lease holds, and the kernel still tracks the flow; one that it doesn't is over.
    bool in_use(const Flow& flow, Lease lease);
    // What was allowed is not any more.
    void end(const Flow& flow, Lease lease);

    // --- by any thread ---

    // A socket of this node is gone.
    void forget(Cookie cookie);
    // The socket at the peer's end of this flow is gone.
    void forget(const Flow& flow);
    // Nothing is certain any more: every flow asks again.
    void forget_all();

    std::size_t size() const;

  private:
    struct Entry {
        Lease lease;
        Cookie local;
        std::optional<Cookie> other;
    };

    void run();
    bool holds(const Flow& flow, Lease lease) const;
    std::optional<Flow> erase(const Flow& flow);
    void unlink(Cookie cookie, const Flow& flow);

    static constexpr std::size_t most = 65536;

    mutable std::mutex mutex_;
    Conntrack conntrack_;
    std::unordered_map<Flow, Entry> flows_;
    std::unordered_map<Cookie, std::unordered_set<Flow>> by_socket_;
    Departures<Cookie> gone_sockets_;
    Departures<Flow> gone_flows_;
    std::uint64_t last_lease_ = 0;

    // The kernel is told on a thread of our own, for those who may not tell it themselves.
    std::vector<Flow> doomed_;
    std::condition_variable wanted_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace ubf
