// Whether this node has sent a UDP flow, as the kernel knows: by conntrack, or by the fabric's set.
//
// A peer vouches for a packet. That somebody here has the port says nothing about who sent it: a
// hostile node can send in our name, and a machine with our address may be another one.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/udp/lately_sent.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"
#include "nft/verdict_sets.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

namespace ubf {

// The kernel says it to CAP_NET_ADMIN alone, which ident's thread must not have; so this has a
// thread of its own.
class SentFlows {
  public:
    // Starts the thread. Throws std::system_error.
    explicit SentFlows(const LatelySent& lately);
    ~SentFlows() { stop(); }
    void stop(); // nothing is called any more

    // `sent`: for each flow, in its order. Called on our thread.
    using Then = std::function<void(std::vector<bool> sent)>;
    // By any thread. False where too many wait already: then nothing is called.
    bool find(std::vector<Flow> flows, Then then);
    // The flow of the socket that sends what leaves this node as `flow`, where the node translates
    // it on the way (NAT); nothing where it doesn't. As above.
    using ThenOriginal = std::function<void(std::optional<Flow> original)>;
    bool find_original(const Flow& flow, ThenOriginal then);
    const Heartbeat& heartbeat() const { return heartbeat_; }

  private:
    void run();
    bool has_room(std::size_t count);
    bool was_sent(const Flow& flow);

    static constexpr std::size_t most_waiting = 8192;

    const LatelySent& lately_;
    EventLoop loop_;
    Mailbox mailbox_;
    Conntrack conntrack_;
    nft::Connection table_; // only reads
    nft::VerdictSets sets_{table_};
    std::atomic<std::size_t> waiting_{0};
    std::atomic<bool> stopping_{false};
    Heartbeat heartbeat_{"sent"};
    std::thread thread_;
};

} // namespace ubf
