// Watches the connections of the RDMA connection manager. They begin without a packet that the gate
// could hold up, so each is judged a moment after it has begun, by the policy of the fabric. A
// connection that is not allowed is logged, or ended with its connector's process. Also answers the
// peers' questions about the ends that are here. Has a thread of its own.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/loop_thread.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/log/log.hpp"
#include "daemon/owners/investigator.hpp"
#include "daemon/rdma/ends.hpp"
#include "daemon/rdma/target.hpp"
#include "netlink/rdma.hpp"
#include "owner/process_search.hpp"
#include "policy/inquiry.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
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

class RdmaWatcher {
  public:
    using Done = std::function<void(Owner)>;

    struct Shared { // each part may be used from any thread
        Counters& counters;
        PeerTable& peers;
        Investigator& investigator;
        Log& log;
    };

    struct Status {
        std::string state = "starting"; // "active", or why not
        std::size_t cm_ids = 0;
        std::size_t connections = 0;
        // These can't be judged: queue pairs that were connected without the connection manager,
        // and ids whose addresses are not IP's.
        std::size_t queue_pairs = 0;
        std::size_t foreign = 0;
    };

    // Starts the thread. Throws std::system_error.
    RdmaWatcher(ident::Asker& asker, std::shared_ptr<const RdmaRules> rules, Shared shared);
    ~RdmaWatcher() { stop(); }

    void stop() { thread_.stop(); }
    void set_rules(std::shared_ptr<const RdmaRules> rules);
    // The processes of this user carry other labels than before: what was allowed by a label is
    // judged again.
    void reconsider(Uid uid);
    // Who owns the source of this flow? Calls `done` on our thread; unknown where no such
    // connection is here, whatever the table said before. Not at all when we are stopped.
    void find(const Flow& flow, Done done);

    Status status() const;
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    // The stages of an id.
    enum class Stage : std::uint8_t {
        made,   // it isn't connected yet
        open,   // to be judged
        asked,  // a peer is
        judged, // nothing more is to be done
        killed, // its process; it should be gone any moment
    };
    struct Entry {
        rdma::CmId id;
        Stage stage = Stage::made;
        End end = End::connector;        // from `open` on
        std::optional<Holder> process{}; // that made it
        bool looked = false;             // for that process
        std::optional<Owner> owner{};    // of our end, from `open` on
        TimePoint since{};               // it is connected, as far as we know
        TimePoint next{};                // to be judged, not earlier
        unsigned silences = 0;           // of the peer
        unsigned tries = 0;              // without an outcome
        bool old = false;                // it was there when we began to look
        std::optional<Uid> by_label{};   // the other end's, where a label allowed it
        Denial denial{};                 // of a process that was killed
    };
    void look(TimePoint now);
    bool read_table(TimePoint now);
    void merge(std::vector<rdma::CmId> table, TimePoint now);
    void over(const Entry& entry);
    std::optional<std::vector<rdma::CmId>> list_again();
    void look_for_makers();
    void name_owners();
    std::optional<Owner> owner_of(const Entry& entry);
    void judge_all(TimePoint now);
    void judge(Entry& entry, TimePoint now);
    const Entry* counterpart(const Entry& entry) const;
    void ask(Entry& entry);
    void answered(const Flow& flow, ident::Asker::Heard heard, const Owner& owner);
    void try_again(Entry& entry, TimePoint now);
    void allow(Entry& entry);
    static Owner known_owner(const Entry& entry);
    static Facts facts_of(const Entry& entry); // of our end
    void heard_owner(Entry& entry, const Owner& owner, TimePoint now);
    // remote: which end the other one is, as its own node sees it; nothing where nobody says.
    void go_on(Entry& entry, const Facts& facts, std::optional<End> remote, TimePoint now);
    void conclude(Entry& entry, const Facts& facts, std::optional<End> remote, Reason reason,
                  TimePoint now);
    void give_up(Entry& entry);
    void end(Entry& entry, Denial denial, TimePoint now);
    void not_ended(Denial denial, std::string why);
    void see_dying(TimePoint now);
    bool is_established(const Entry& entry);
    void count_queue_pairs(TimePoint now);
    Owner answer(const Flow& flow, TimePoint now);
    void say(std::string state);

    std::shared_ptr<const RdmaRules> rules_;
    Shared shared_;
    ident::Asker& asker_;
    ProcessSearch processes_;
    std::optional<rdma::Resources> resources_;
    std::vector<std::uint32_t> devices_;

    std::map<rdma::CmKey, Entry> entries_;
    std::multimap<Flow, rdma::CmKey> connections_; // by the way from our end
    Listeners listeners_before_;
    std::map<Flow, rdma::CmKey> questions_; // that are asked, as they are
    bool begun_ = false;                    // a table was read
    TimePoint read_{};                      // when the table was
    Clock::duration reading_{};             // how long that took
    TimePoint next_look_{};
    TimePoint next_count_{};

    mutable std::mutex mutex_; // of the next
    Status status_;

    LoopThread thread_{"rdma"};
};

} // namespace ubf
