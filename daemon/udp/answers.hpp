// Ends what may be answered when the socket that has sent is gone. The ruleset lets answers to UDP
// in, if they come from outside or from a port that is not watched. And an answer's direction says
// who began. The kernel keeps both by flow, for minutes. Without us, the next user of the port
// would get such answers, and begin what another user has begun.
#pragma once

#include "daemon/core/loop_thread.hpp"
#include "daemon/udp/lately_sent.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"
#include "netlink/destroy_notices.hpp"
#include "netlink/sock_diag.hpp"
#include "nft/verdict_sets.hpp"

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace ubf {

class Answers {
  public:
    // Starts the thread. Throws std::system_error.
    // table: the socket that all writers of the table share.
    Answers(nft::Connection& table, LatelySent& lately_sent);
    ~Answers() { thread_.stop(); }
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    using Interfaces = std::unordered_map<Address, std::uint32_t>; // by address of this node

    void go_on(TimePoint now);
    void receive();
    void end_orphans();
    void keep_orphans(std::vector<Flow>& sent, const Interfaces& own);
    std::vector<SockDiag::Found> find(std::span<const SocketQuery> queries);
    void end_tracked(std::span<const Flow> flows);

    LatelySent& lately_sent_;
    DestroyNotices notices_{DestroyNotices::Of::udp};
    std::vector<Port> freed_; // kept for its room
    std::bitset<65536> free_; // ports of sockets that are gone
    bool any_free_ = false;
    bool missed_ = true; // some may be gone without a notice, as before we started
    std::optional<TimePoint> next_ = TimePoint{};
    Conntrack conntrack_;
    nft::Connection reader_; // so that nobody waits for our dumps
    nft::VerdictSets sets_;
    SockDiag sockets_;
    LoopThread thread_{"answers"};
};

} // namespace ubf
