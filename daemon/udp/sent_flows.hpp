// Finds out whether this node has sent a UDP flow: by conntrack, or by the fabric's set.
//
// A node vouches for the packets that it has sent. A local owner of the source port is no proof
// that it has sent one: a hostile node can forge our address, and another machine may have the
// same.
#pragma once

#include "daemon/core/loop_thread.hpp"
#include "daemon/core/peer_shares.hpp"
#include "daemon/udp/lately_sent.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"
#include "nft/verdict_sets.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace ubf {

// To ask the kernel takes CAP_NET_ADMIN, which ident's threads must not have. So this class has a
// thread of its own.
class SentFlows {
  public:
    // Starts the thread. Throws std::system_error.
    explicit SentFlows(const LatelySent& lately);
    ~SentFlows() { stop(); }
    void stop(); // no callback is called any more

    // `sent`: for each flow, in its order. Called on our thread.
    using Then = std::function<void(std::vector<bool> sent)>;
    // Any thread may call this. False if too many flows wait, or too many of this peer: then `then`
    // is not called.
    bool find(const Address& asker, std::vector<Flow> flows, Then then);
    // If this node's NAT translates packets, and they leave as `flow`, finds the flow before that;
    // else nothing. Otherwise like find().
    using ThenOriginal = std::function<void(std::optional<Flow> original)>;
    bool find_original(const Address& asker, const Flow& flow, ThenOriginal then);
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    bool was_sent(const Flow& flow);

    static constexpr std::size_t most_waiting = 8192;
    static constexpr std::size_t most_of_one = 2048;

    const LatelySent& lately_;
    Conntrack conntrack_;
    nft::Connection table_; // only reads
    nft::VerdictSets sets_{table_};
    PeerShares shares_{most_waiting, most_of_one};
    std::atomic<bool> stopping_{false};
    LoopThread thread_{"sent"};
};

} // namespace ubf
