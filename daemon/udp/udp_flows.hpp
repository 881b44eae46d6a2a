// The UDP flows on which the kernel has our verdict, and the sockets that the verdict is for. UDP
// has no end of its own. When a socket at either end is closed, the kernel must forget the flow, or
// the next owner of the port would inherit it. A flow stays here until the kernel has confirmed
// that. A notice can get lost, as when a peer dies. So the kernel allows each flow for one lease
// only (nft/sets.hpp), which a worker renews when it has decided the flow again.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/udp/departures.hpp"
#include "daemon/udp/lately_sent.hpp"
#include "daemon/udp/receivers.hpp"
#include "daemon/udp/udp_book.hpp"
#include "daemon/udp/udp_verdicts.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"

#include <condition_variable>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace ubf {

class UdpFlows {
  public:
    using Lease = UdpBook::Lease;

    // The kernel forgets the flows that a predecessor allowed. table: the socket that all writers
    // of the table share. Throws std::system_error.
    UdpFlows(nft::Connection& table, LatelySent& lately_sent, UdpReceivers& receivers,
             Counters& counters);
    ~UdpFlows();

    // --- by threads with CAP_NET_ADMIN ---

    // The sockets of a flow, and their owner. They were looked up from `since` on.
    struct Ends {
        Cookie local;
        Uid user;                    // the owner of `local`
        std::optional<Cookie> other; // if the other end is on this node as well
        TimePoint since;
    };

    // To be called before the flow is allowed for these sockets of ours, and for the peer's.
    // Nothing if one of them may be gone since they were looked up: then the packet must not be
    // allowed. Keeper: ethernet or fabric.
    std::optional<Lease> allow(const Flow& flow, Keeper keeper, const Ends& ends);
    // To be called before the kernel denies the flow by itself, for a while. Nothing if one of the
    // sockets may be gone, or if there are too many such flows, of its sender or in all: then the
    // next packet is asked about.
    std::optional<Lease> deny(const Flow& flow, OwnerKind kind, Uid user, const Ends& ends);
    // To be called after the kernel has the flow, or has it for one more lease. True if the lease
    // still holds; else the kernel is told to forget the flow.
    bool confirm(const Flow& flow, Keeper keeper, Lease lease);
    // Whether the kernel may still have the flow, and it is in use. If the flow is over, the
    // kernel forgets it; if the kernel can't be told, the flow counts as in use.
    bool in_use(const Flow& flow, Lease lease);
    // The flow is not allowed any more. 0, or an errno: then the kernel is told again.
    int end(const Flow& flow, Lease lease);

    static constexpr std::chrono::seconds denied_for{5};

    // --- by any thread ---

    // Sockets of this node are gone.
    void forget(std::span<const Cookie> cookies);
    // The socket at the peer's end of this flow is gone.
    void forget(const Flow& flow);
    // Notices were lost, so any socket may be gone: every flow is decided again.
    void forget_all();
    // The policy changed: denied flows are decided again.
    void forget_denied();
    std::size_t size(Keeper keeper) const;
    const Heartbeat& heartbeat() const { return heartbeat_; }

  private:
    struct Doomed {
        Flow flow;
        Keeper keeper;
        Lease lease;
    };

    // The kernel's maps of receivers agree with the book.
    struct Held {
        UdpReceivers& receivers; // of flows that are allowed
        UdpVerdicts kernel;
        UdpBook book{};
        Departures<Cookie> gone_sockets{};
        Departures<Flow> gone_flows{};
        // Our own thread tells the kernel, for threads without CAP_NET_ADMIN.
        std::vector<Doomed> doomed{};
        bool stopping = false;

        bool is_certain(const Flow& flow, const Ends& ends) const;
        void erase(const Flow& flow);
    };

    void run();
    std::optional<Lease> add(Held& held, const Flow& flow, UdpBook::Entry entry);
    void doom(Held& held, const Flow& flow);
    int end(Held& held, const Flow& flow);

    nft::Connection& table_; // to write into it
    LatelySent& lately_sent_;
    Counters& counters_;
    Guarded<Held> held_;
    std::condition_variable wanted_;
    Heartbeat heartbeat_{"udp"};
    std::thread thread_;
};

} // namespace ubf
