// Judges the RDMA connections that ubf-rdmad reports, by the policy of the fabric. They begin
// without a packet that the gate could hold up, so each is judged a moment after it has begun. A
// connection that is not allowed is logged, or ubf-rdmad is ordered to end it. Also answers the
// peers' questions about the ends that are here. All of it belongs to one thread.
#pragma once

#include "base/deadlines.hpp"
#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/fabric/rdma_book.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/peers.hpp"
#include "daemon/log/reporter.hpp"
#include "policy/inquiry.hpp"
#include "rdma/report.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ubf {

// The settings that a reload changes, in one piece.
struct RdmaRules {
    Config::Fabric::Rdma mode = Config::Fabric::Rdma::log;
    Policy policy;
    std::vector<ProtocolPorts> exempt_ports;
    std::shared_ptr<const ident::Terms> terms;
    std::chrono::milliseconds deadline;
    bool labelled = false; // something gives labels
    bool observed = false; // the site only observes
};

class RdmaJudge {
  public:
    struct Shared {
        Counters& counters;
        PeerTable& peers;
        Reporter& log;
        ReadClock clock = Clock::now; // while owners are looked for
    };
    // The owner of a process that holds an end; as Investigator::of_process().
    using OwnerOf = std::function<Owner(Holder process, ident::Role role, Method method)>;

    RdmaJudge(ident::Peers& peers, std::shared_ptr<const RdmaRules> rules, const Shared& shared,
              OwnerOf owner_of);

    void set_rules(std::shared_ptr<const RdmaRules> rules);
    void take(rdma::Report report);
    // ubf-rdmad has gone, or begins anew: the table that it told of is not the kernel's any more.
    void forget(std::string_view why);
    // The processes of this user carry other labels than before: what was allowed by a label is
    // judged again.
    void reconsider(Uid uid);
    // For a peer: who owns the source of this flow? If no such connection was reported, the owner
    // is unknown, and ubf-rdmad is to look at once, before the peer asks again.
    Owner answer(const Flow& flow);

    // By the loop. Returns when to come again.
    std::optional<TimePoint> next() const;
    void go_on(TimePoint now);
    const rdma::Orders& orders() const { return orders_; }
    rdma::Orders take_orders() { return std::exchange(orders_, {}); }

    std::size_t connections() const { return book_.size() + unread_.size(); }
    std::size_t beyond_room() const { return beyond_room_; }

  private:
    using Entry = RdmaBook::Entry;

    void keep(rdma::Connection connection);
    void read();
    Owner find_owner(const rdma::Connection& connection) const;
    void judge(Entry& entry, TimePoint now);
    void ask(Entry& entry, TimePoint now);
    void heard(const Flow& flow, ident::Peers::Heard heard, const Owner& owner, TimePoint now);
    void open(Entry& entry, TimePoint when);
    void allow(Entry& entry);
    static Facts facts_of(const Entry& entry); // of our end
    // remote: which end the other one is, as its own node sees it; nothing where nobody says.
    void inquire(Entry& entry, const Facts& facts, std::optional<rdma::End> remote, TimePoint now);
    void conclude(Entry& entry, const Facts& facts, std::optional<rdma::End> remote, Reason reason,
                  TimePoint now);
    void deny(Entry& entry, const Facts& facts, std::optional<rdma::End> remote, Reason reason);
    void give_up(Entry& entry);
    void take(const rdma::Outcome& outcome);
    void not_ended(Denial denial, std::string_view why);

    std::shared_ptr<const RdmaRules> rules_;
    Shared shared_;
    OwnerOf owner_of_;
    ident::Peers& peers_;
    RdmaBook book_;
    std::map<rdma::CmKey, rdma::Connection> unread_; // reported, and their owners not looked for
    Deadlines<rdma::CmKey> due_;
    std::map<Flow, rdma::CmKey> questions_; // that are asked, as they are
    std::map<rdma::CmKey, Denial> ending_;  // ordered, without an outcome yet
    rdma::Orders orders_;
    std::size_t beyond_room_ = 0; // connections that were reported since ubf-rdmad began
};

} // namespace ubf
