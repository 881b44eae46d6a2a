// The UDP flows on which the kernel has our verdict, and the sockets that the verdict is for. UDP
// has no end of its own. When a socket at either end is closed, the kernel must forget the flow, or
// the next owner of the port would inherit it. A flow stays here until the kernel has confirmed
// that. A notice can get lost, as when a peer dies. So the kernel allows each flow for one lease
// only (nft/sets.hpp), which a worker renews when it has decided the flow again.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/udp/departures.hpp"
#include "daemon/udp/lately_sent.hpp"
#include "daemon/udp/receivers.hpp"
#include "daemon/udp/udp_verdicts.hpp"
#include "flow/flow.hpp"
#include "nft/sets.hpp"
#include "owner/owner.hpp"

#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace ubf {

class UdpFlows {
  public:
    // One verdict on one flow.
    enum class Lease : std::uint64_t {};

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
    using Sender = std::pair<OwnerKind, Uid>;
    struct Entry {
        Lease lease;
        Keeper keeper;
        Cookie local;
        Uid user;
        std::optional<Cookie> other;
        Sender sender{};     // of a denied one
        TimePoint until{};   // the kernel ends an allowed one by itself
        bool ending = false; // the kernel has not confirmed yet that it forgot
    };
    using Entries = std::unordered_map<Flow, Entry>;
    struct Doomed {
        Flow flow;
        Keeper keeper;
        Lease lease;
    };
    struct Expiry {
        TimePoint when;
        Flow flow;
        Lease lease;
    };

    void run();
    bool is_certain(const Flow& flow, const Ends& ends) const;
    std::optional<Lease> add(const Flow& flow, Entry entry);
    Entries::iterator find(const Flow& flow, Lease lease);
    void doom(const Flow& flow);
    int end(Entries::iterator entry);
    void erase(Entries::iterator entry);
    void erase_expired(TimePoint now);
    std::size_t& count_of(Keeper keeper) { return sizes_[static_cast<std::size_t>(keeper)]; }
    void make_room();
    void unlink(Cookie cookie, const Flow& flow);

    static constexpr std::size_t most = nft::room_for_udp; // of those that are allowed
    static constexpr std::size_t most_denied = nft::room_for_denied;
    static constexpr std::size_t most_denied_of_one = 256;

    nft::Connection& table_; // to write into it
    LatelySent& lately_sent_;
    Counters& counters_;
    mutable std::mutex mutex_;
    UdpReceivers& receivers_; // of those that are allowed
    UdpVerdicts kernel_;
    Entries flows_;
    std::array<std::size_t, static_cast<std::size_t>(Keeper::count_)> sizes_{};
    std::unordered_map<Cookie, std::unordered_set<Flow>> by_socket_;
    std::map<Sender, std::size_t> denied_of_;
    std::deque<Expiry> expiries_; // of denied ones
    Departures<Cookie> gone_sockets_;
    Departures<Flow> gone_flows_;
    std::uint64_t last_lease_ = 0;

    // Our own thread tells the kernel, for threads without CAP_NET_ADMIN.
    std::vector<Doomed> doomed_;
    std::condition_variable wanted_;
    bool stopping_ = false;
    Heartbeat heartbeat_{"udp"};
    std::thread thread_;
};

} // namespace ubf
