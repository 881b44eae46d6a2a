// One queue, one thread: takes packets, finds both owners, gives verdicts. Nothing here waits but
// in the event loop: a packet whose owners are not known yet is a case that stays open meanwhile.
// What was allowed for a while only, a UDP flow or one allowed by a label, is decided again from
// time to time, without a packet.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/gate/open_questions.hpp"
#include "daemon/gate/queue.hpp"
#include "daemon/gate/renewals.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/log/log.hpp"
#include "daemon/owners/investigator.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "label/cipso.hpp"
#include "netlink/sock_diag.hpp"
#include "owner/lookup.hpp"

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
    Policy policy;
    std::chrono::milliseconds deadline;
    std::shared_ptr<const ident::Terms> terms;
    bool labelled = false; // something gives labels
    bool selinux = false;  // SELinux does
    bool end_flows = true; // whose label was withdrawn
};

// What the workers share; each part may be used from any thread.
struct Shared {
    Counters& counters;
    PeerTable& peers;
    Investigator& investigator;
    UdpFlows& udp_flows;
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
    void set_rules(std::shared_ptr<const Rules> rules);
    // The processes of this user carry other labels than before; or what the peer told of the other
    // end of this flow holds no more. What was allowed by it is decided again at once.
    void reconsider(Uid uid);
    void reconsider(const Flow& flow);

  private:
    // A flow that is being decided, with the packets that wait for it.
    struct Case {
        std::uint64_t number;
        Flow flow; // as the packets have it: the destination is ours
        std::uint32_t interface;
        bool reply; // the destination is the connector, and this its answer
        QueuedPacket packet;
        TimePoint since;
        std::optional<StatedLevel> stated{}; // of its sender, by the first packet
        std::vector<QueuedPacket> more{};    // that came while it waited
        SocketOwner local{};                 // of the destination
        Owner remote{};                      // of the source
        std::optional<SocketOwner> sender{}; // the same, when it is on this node too
        unsigned searches = 0;               // under way
        bool waited = false;
        Changes::Moment begun{};
        bool stale = false;               // what a peer told of it holds no more
        std::optional<Renewal> renewal{}; // what this is, where no packet waits
    };

    void run();
    void settle();
    std::optional<TimePoint> next() const;
    void expire(TimePoint now);
    void renew(TimePoint now);

    void arrive(Arrival arrival);
    void begin(Case item);
    void answered(const Flow& flow, const std::optional<Owner>& owner);
    void proceed(Case item);
    enum class Search : std::uint8_t { needless, under_way, refused };
    Search search(Case& item);
    Search search(Case& item, const SocketOwner& socket, Owner& owner, ident::Role role,
                  bool is_local);
    void found(const Flow& flow, std::uint64_t number, bool is_local, Owner owner);
    void wait(Case item);
    void close(Case& item, Reason reason);
    void close_renewal(const Case& item, Reason reason);
    bool same_socket(const Case& item);
    bool is_stale(const Case& item) const;
    void agree(Case& item);
    bool remember_udp(const Case& item, bool by_label);
    bool remember_labelled(const Case& item);
    bool is_there(const Renewal& renewal);
    void end(const Case& item, Reason reason);
    void hasten(const std::function<bool(const Renewal&)>& chosen);
    std::pair<Uid, Uid> users(const Case& item) const;
    static Renewal renewal_of(const Case& item, std::optional<UdpFlows::Lease> lease,
                              TimePoint decide, std::optional<std::pair<Uid, Uid>> by_label);
    void report(const Case& item, Reason reason);

    Verdict decide_case(const Case& item) const;
    bool settled(const Case& item) const;
    const Owner& listener(const Case& item) const;
    const Owner& connector(const Case& item) const;
    bool on_this_node(const Case& item) const { return item.interface == loopback_; }
    bool is_peer(const Address& address) const;

    std::unique_ptr<Queue> queue_;
    std::shared_ptr<const Rules> rules_;
    Shared shared_;
    const std::uint32_t loopback_;

    EventLoop loop_;
    Mailbox mailbox_;
    OwnerLookup lookup_;
    ident::Asker& asker_;

    OpenQuestions asks_;
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
    std::vector<Renewal> unconfirmed_; // UDP flows whose verdict is on its way
    Renewals renewals_;
    SockDiag sockets_;
    std::optional<TimePoint> stop_by_; // when it is to stop
    Heartbeat heartbeat_;
    std::thread thread_;
};

} // namespace ubf
