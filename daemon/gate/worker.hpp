// One queue, one thread: takes packets, has both owners found, gives verdicts. The worker carries
// out the steps of the inquiry (policy/inquiry.hpp) by its parts, which return what they found and
// do not call each other. Nothing here waits but in the event loop: a packet whose owners are not
// known yet is a case that stays open meanwhile.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/gate/cases.hpp"
#include "daemon/gate/closed_ports.hpp"
#include "daemon/gate/finder.hpp"
#include "daemon/gate/flow_book.hpp"
#include "daemon/gate/leases.hpp"
#include "daemon/gate/questions.hpp"
#include "daemon/gate/queue.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace ubf {

class Worker {
  public:
    // Starts the thread. Throws std::system_error.
    Worker(std::unique_ptr<Queue> queue, ident::Asker& asker, std::shared_ptr<const Rules> rules,
           Shared shared);
    ~Worker() { stop(); }

    // Reads no more packets, judges what it has read, and ends; those that it did not read wait on
    // in the queue. begin_stop() doesn't wait for that.
    void begin_stop();
    void stop();
    const Heartbeat& heartbeat() const { return heartbeat_; }
    const Queue& queue() const { return *queue_; }
    std::size_t flows() const { return book_.size(); } // remembered

    // review: the new rules may change verdicts, so every allowed flow is decided again.
    void set_rules(std::shared_ptr<const Rules> rules, bool review);
    // A user's labels changed, or a peer withdrew its answer about a flow. The flows that this
    // allowed are decided again at once.
    void reconsider(Uid uid);
    void reconsider(const Flow& flow);
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
    void run();
    void settle();
    std::optional<TimePoint> next() const;
    void hold_back();

    void receive();
    void arrive(Arrival arrival);
    Case& add_arrived(Case&& item);
    void begin_arrived();
    void begin(Case&& item, const OwnerLookup::Ends& ends);
    void begin_at_closed_port(Case&& item, const OwnerLookup::Found& source);
    bool is_repeated(const Case& item) const;

    // Carries out the steps of the inquiry, until it has to wait or the verdict stands. A fact is
    // there at once, or comes later.
    enum class Fact : bool { known, comes_later };
    void go_on(Case&& item);
    Fact find(Case& item, Need need);
    Fact ask(Case& item, std::optional<Gid> group = {});
    Fact find_credentials(Case& item);
    bool search(Case& item, Need end);
    void wait(Case&& item);
    void answered(const Flow& flow, Questions::Heard heard, const Owner& owner);
    void named(const Flow& flow, const Owner& owner);
    void found(const Flow& flow, std::uint64_t number, Need end, Owner owner, bool in_time);

    void give_up(std::optional<Case> item);
    void close(Case&& item, Reason reason);
    void close_again(const Case& item, Reason reason);
    Reason remember_allowed(const Case& item, Reason reason);
    void remember_denied(const Case& item, Reason reason);
    void remember_listener(const Case& item);
    void report(const Case& item, Reason reason);
    void log_scan(const Case& item);

    std::unique_ptr<Queue> queue_;
    std::shared_ptr<const Rules> rules_;
    Shared shared_;
    EventLoop loop_;
    Mailbox mailbox_;
    Finder finder_;
    Questions questions_;
    Cases cases_;
    Leases leases_;
    FlowBook book_;
    ClosedPorts closed_ports_;
    std::vector<Case> arrived_; // in this round, or to be decided again in it
    std::uint64_t last_number_ = 0;
    bool held_back_ = false;           // packets stay in the queue
    std::optional<TimePoint> stop_by_; // when it is to stop
    Heartbeat heartbeat_;
    std::thread thread_;
};

} // namespace ubf
