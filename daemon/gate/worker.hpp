// One queue, one thread: takes packets, finds both owners, gives verdicts. Nothing here waits but
// in the event loop: a packet whose owners are not known yet is a case that stays open meanwhile.
// What was allowed is remembered (allowed_flows.hpp), and decided again without a packet: a UDP
// flow, or one that a label allowed, from time to time, and any when the policy changes.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/gate/allowed_flows.hpp"
#include "daemon/gate/closed_ports.hpp"
#include "daemon/gate/exempt_listeners.hpp"
#include "daemon/gate/flow_walks.hpp"
#include "daemon/gate/kernel_flows.hpp"
#include "daemon/gate/open_questions.hpp"
#include "daemon/gate/queue.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/log/log.hpp"
#include "daemon/owners/investigator.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "netlink/conntrack.hpp"
#include "netlink/link.hpp"
#include "netlink/sock_diag.hpp"
#include "nft/verdict_sets.hpp"
#include "owner/lookup.hpp"
#include "policy/beyond.hpp"
#include "policy/inquiry.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ubf {

// What a reload changes, in one piece.
struct Rules {
    // Of the fabric, and of all other interfaces.
    struct Side {
        Policy policy;
        std::vector<Prefix> peers;
    };
    Side ethernet;
    Side fabric;
    std::vector<Label> pkeys; // partitions that are labels
    std::chrono::milliseconds deadline;
    std::shared_ptr<const ident::Terms> terms;
    bool labelled = false; // something gives labels
    bool selinux = false;  // SELinux does
    bool end_flows = true; // whose label was withdrawn

    const Side& side(bool is_fabric) const { return is_fabric ? fabric : ethernet; }
    // The label of both ends of a flow that comes in over this interface of the fabric.
    std::optional<Label> partition(const Link& link) const;
};

// A TCP connection that is there, and that may never have been decided.
struct UndecidedFlow {
    Flow flow; // as its packets have it: the destination is ours
    std::uint32_t interface = 0;
    bool fabric = false;
    bool judged = false;      // it has been before; it is again only where nobody remembers
    Cookie cookie{};          // of its socket here
    std::optional<Uid> uid{}; // whose that is
};

// The workers share these; each part may be used from any thread.
struct Shared {
    nft::Connection& table;
    Counters& counters;
    PeerTable& peers;
    Investigator& investigator;
    UdpFlows& udp_flows;
    ExemptListeners& exempt_listeners;
    LabelledRoom& labelled_room;
    Log& log;
};

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
    // otherwise: they may decide flows otherwise than those before, so all are decided again.
    void set_rules(std::shared_ptr<const Rules> rules, bool otherwise);
    // The processes of this user carry other labels than before; or what the peer told of the other
    // end of this flow holds no more. What was allowed by it is decided again at once.
    void reconsider(Uid uid);
    void reconsider(const Flow& flow);
    // Those of the allowed flows that fit, and are there still: lists them, `most` at most, or ends
    // them. `done` is called on our thread.
    void list(FlowFilter filter, std::size_t most, FlowWalks::Done done);
    void revoke(FlowFilter filter, FlowWalks::Done done);
    // Of these it leaves those of which it does not know, and decides the others again, once.
    // `done` is called on our thread.
    void take_known(std::vector<UndecidedFlow> flows,
                    std::function<void(std::vector<UndecidedFlow>)> done);
    // They are decided, as if each began now; one that is not allowed is ended.
    void judge(std::vector<UndecidedFlow> flows);
    // They are allowed: the kernel has recognised both ends as this user's.
    void adopt(std::vector<UndecidedFlow> flows);
    std::size_t flows() const { return flows_.load(std::memory_order_relaxed); } // remembered

  private:
    // A flow that is being decided, with the packets that wait for it.
    struct Case {
        std::uint64_t number;
        std::uint32_t interface;
        bool fabric; // it came over the fabric
        QueuedPacket packet;
        TimePoint since;
        Facts facts;
        std::uint32_t sequence = 0;             // of that packet
        std::vector<QueuedPacket> more{};       // that came while it waited
        std::optional<ident::Nonce> question{}; // to the peer, while it is open
        SocketOwner destination{};              // as it was looked up; facts has what is known
        std::optional<SocketOwner> source{};    // the same, when it is on this node too
        unsigned searches = 0;                  // under way
        Changes::Moment begun{};
        std::optional<Flow> original{}; // of a translated one: what its sender's socket has
        bool stale = false;             // a peer has withdrawn its answer
        bool again = false; // it was allowed before; no packet waits but those that came meanwhile
        std::uint64_t tries = 0; // of a scan: nobody listens, and only who tries is not known yet

        const Flow& flow() const { return facts.flow; }
        // As its sender's socket has it.
        const Flow& sent() const { return original ? *original : facts.flow; }
    };

    void run();
    void settle();
    std::optional<TimePoint> next() const;
    void expire(TimePoint now);

    void hold_back();
    void receive();
    void arrive(Arrival arrival);
    static void join(Case& item, QueuedPacket packet, std::uint32_t sequence, bool translated);
    void begin_arrived();
    void begin(Case item, const OwnerLookup::Ends& ends);
    static void note_translation(Case& item, const std::optional<TrackedConnection>& tracked);
    std::optional<TrackedConnection> find_translated(const Flow& flow);
    bool can_be_traced(const Case& item) const;
    bool is_repeated(const Case& item) const;
    OwnerLookup::Wanted ends_wanted(const Case& item) const;
    void learn(Case& item, Need end, Owner owner);

    // Carries out the steps of the inquiry, until it has to wait or the verdict stands. A fact is
    // there at once, or comes later.
    enum class Fact : bool { known, comes_later };
    void go_on(Case item);
    Fact find(Case& item, Need need);
    Fact ask(Case& item);
    Fact ask_for_group(Case& item);
    Fact find_credentials(Case& item);
    enum class Search : std::uint8_t { needless, under_way, refused };
    Search search(Case& item, Need end);
    void find_sharers(Case& item);
    bool is_silent(const Case& item) const;
    Reason silence_of(const Case& item) const;
    void ask_in_passing(const Case& item);
    bool send_question(Case& item, std::optional<Uid> same_as, std::optional<Gid> group = {});
    void give_way(const Flow& flow);
    void withdraw(Case& item);
    void answered(const Flow& flow, ident::Asker::Heard heard, const Owner& owner);
    void named(const Flow& flow, const Owner& owner);
    void found(const Flow& flow, std::uint64_t number, Need end, Owner owner, bool in_time);
    static Reason for_want_of_time(const Case& item);
    void wait(Case item);
    void give_up(Case item);
    void close(Case item, Reason reason);
    void close_port(Case item, const OwnerLookup::Found& sender);
    void log_scan(const Case& item);
    bool same_socket(const Case& item);
    bool is_stale(const Case& item) const;
    void remember_denied(const Case& item, Reason reason);
    void remember_listener(const Case& item);
    void leave_verdicts();
    void choose(const std::vector<AllowedFlow>& flows, bool fabric);
    static UdpFlows::Ends ends_of(const Case& item);
    Reason remember_allowed(const Case& item, Reason reason);
    bool remember_udp(const Case& item, Reason reason);
    bool remember_tcp(const Case& item, Reason reason);
    bool remember(const AllowedFlow& allowed);
    AllowedFlow allowed_flow(const Case& item, Reason reason) const;
    bool ends_by_label(Reason reason) const;
    void report(const Case& item, Reason reason);

    // What was allowed, again (worker_again.cpp).
    std::optional<TimePoint> next_again() const;
    void decide_again(TimePoint now);
    void add_again(const AllowedFlow& allowed, TimePoint now);
    void look_again(AllowedFlows::Id id);
    void add_undecided(const UndecidedFlow& undecided);
    void add_recognised(const UndecidedFlow& recognised);
    void close_again(const Case& item, Reason reason);
    void end(const Case& item, AllowedFlows::Id id, Reason reason);
    FlowWalks::Ended end(const AllowedFlow& allowed, Reason reason);
    FlowWalks::Ended revoke(const AllowedFlow& allowed);
    void hasten(const std::function<bool(const AllowedFlow&)>& chosen);

    bool on_this_node(const Case& item) const { return item.interface == loopback_; }
    const Policy& policy(const Case& item) const { return rules_->side(item.fabric).policy; }
    // Of a packet from elsewhere.
    std::optional<Owner> unasked(const Case& item) const {
        const auto& flow = item.sent();
        return ubf::unasked(flow.source.address, flow.destination.address,
                            rules_->side(item.fabric).peers, policy(item));
    }
    // The address at which the ubfd of its source is asked.
    Address peer_of(const Case& item) const {
        return rules_->terms->management(item.sent().source.address);
    }
    static Keeper keeper(bool fabric) { return fabric ? Keeper::fabric : Keeper::ethernet; }

    std::unique_ptr<Queue> queue_;
    std::shared_ptr<const Rules> rules_;
    Shared shared_;
    const std::uint32_t loopback_;

    EventLoop loop_;
    Mailbox mailbox_;
    OwnerLookup lookup_;
    ident::Asker& asker_;

    // In this round, or to be decided again in it; kept for their room, as are the next.
    std::vector<Case> arrived_;
    std::vector<OwnerLookup::Wanted> wanted_;
    std::vector<OwnerLookup::Ends> ends_;
    OpenQuestions asks_;
    ClosedPorts closed_ports_;
    // Those that wait. The pool keeps what they take, so that a packet costs no allocation.
    std::pmr::unsynchronized_pool_resource pool_;
    std::pmr::unordered_map<Flow, Case> cases_{&pool_};
    struct Expiry {
        TimePoint when;
        Flow flow;
        std::uint64_t number;
    };
    std::deque<Expiry> expiries_;
    std::uint64_t last_number_ = 0;
    std::vector<AllowedFlow> unconfirmed_; // UDP flows whose verdict is on its way
    std::vector<AllowedFlow> renewed_;     // the same, of one more lease
    struct Denied {
        Flow flow;
        UdpFlows::Lease lease;
    };
    std::vector<Denied> denied_; // the same
    std::vector<Flow> leaving_;  // kept for its room
    nft::VerdictSets sets_;
    Links links_;
    KernelFlows kernel_;
    Conntrack conntrack_;
    AllowedFlows allowed_;
    FlowWalks walks_;
    std::size_t again_ = 0; // cases of what is decided again
    std::atomic<std::size_t> flows_{0};
    bool held_back_ = false;           // packets stay in the queue
    std::optional<TimePoint> stop_by_; // when it is to stop
    Heartbeat heartbeat_;
    std::thread thread_;
};

} // namespace ubf
