// One queue, one thread: takes packets from the queue to the judge, and tells the kernel of the
// verdicts. Nothing waits here but in the event loop.
#pragma once

#include "daemon/core/loop_thread.hpp"
#include "daemon/core/peer_shares.hpp"
#include "daemon/gate/judge.hpp"
#include "daemon/gate/kept_verdicts.hpp"
#include "daemon/gate/queue.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/tickets/portal_sockets.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

class Worker {
  public:
    // Starts the thread. Throws std::system_error.
    Worker(std::unique_ptr<Queue> queue, ident::Asker& asker,
           const std::shared_ptr<const Rules>& rules, Kernel kernel, const Shared& shared);
    ~Worker() { stop(); }

    // Reads no more packets, judges what it has read, and ends; those that it did not read wait on
    // in the queue. begin_stop() doesn't wait for that.
    void begin_stop();
    void stop();
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }
    const DecisionTimes& times() const { return judge_.times(); }
    const Queue& queue() const { return *queue_; }
    std::size_t flows() const { return judge_.book().size(); } // remembered

    // review: the new rules may change verdicts, so every allowed flow is decided again.
    void set_rules(std::shared_ptr<const Rules> rules, bool review);
    // A user's labels changed, or a peer withdrew its answer about a flow. The flows that this
    // allowed are decided again at once.
    void reconsider(Uid uid);
    void reconsider(const Flow& flow, const PeerShares::Room& room);
    // The allowed flows that fit, and are there still: lists them, `most` at most, or ends them.
    // `done` is called on our thread.
    void list(FlowFilter filter, std::size_t most, FlowWalks::Done done);
    void revoke(FlowFilter filter, FlowWalks::Done done);
    // Hands on the flows that it doesn't know, and decides the others again, once. `done` is called
    // on our thread.
    void take_known(std::vector<UndecidedFlow> flows,
                    std::function<void(std::vector<UndecidedFlow>)> done);
    // They are decided, as if each began now; one that is not allowed is ended.
    void judge(std::vector<UndecidedFlow> flows);
    // They are allowed: the kernel has recognised both ends as this user's.
    void adopt(std::vector<UndecidedFlow> flows);

  private:
    void post_settled(std::function<void(TimePoint now)> task);
    void go_on(TimePoint now);
    void receive();
    void settle(TimePoint now);
    std::optional<TimePoint> next() const;
    void hold_back();

    std::unique_ptr<Queue> queue_;
    LoopThread thread_;
    PortalSockets sockets_;
    KernelVerdicts verdicts_;
    Judge judge_;
    bool held_back_ = false;           // packets stay in the queue
    std::optional<TimePoint> stop_by_; // when it is to stop
};

} // namespace ubf
