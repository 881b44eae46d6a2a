// The flows that one worker has allowed: remembered, decided again, listed, ended. It returns what
// is to be done next; the worker decides, and tells the kernel of leases.
#pragma once

#include "daemon/gate/allowed_flows.hpp"
#include "daemon/gate/flow_walks.hpp"
#include "daemon/gate/kept_verdicts.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

// A TCP connection that is there, and that may never have been decided.
struct UndecidedFlow {
    Flow flow; // as its packets have it: the destination is ours
    std::uint32_t interface = 0;
    bool fabric = false;
    bool judged = false;      // it has been before; it is again only where nobody remembers
    Cookie cookie{};          // of its socket here
    std::optional<Uid> uid{}; // whose that is
};

class FlowBook {
  public:
    // loopback: the interface.
    FlowBook(std::shared_ptr<const Rules> rules, KeptVerdicts& verdicts, const Shared& shared,
             std::uint32_t loopback);

    // review: they may decide otherwise than the rules before, so every flow is decided again.
    void set_rules(std::shared_ptr<const Rules> rules, bool review);

    // False: it must not be allowed, since it could not be ended when its label is withdrawn.
    bool add(const AllowedFlow& allowed, TimePoint now);
    bool contains(const Flow& flow) const { return allowed_.find(flow).has_value(); }
    // Whether a SYN of this sequence number began an allowed connection.
    bool began(const Flow& flow, std::uint32_t sequence) const;
    std::size_t size() const { return size_.load(std::memory_order_relaxed); } // by any thread

    // --- decided again ---

    std::optional<TimePoint> next() const;
    // Flows to decide again now; each waits for conclude(). is_open: a packet of the flow is being
    // judged anyway.
    std::vector<AllowedFlow> take_due(TimePoint now,
                                      const std::function<bool(const Flow&)>& is_open);
    struct Decided {
        AllowedFlow flow; // with the new reason
        bool same_socket; // as when it was looked up
        bool stale;       // a label changed, or a peer withdrew its answer
        bool not_found;   // no process was found behind a socket of it
    };
    // renew: for one more lease. report: it was ended, or would be, which the log tells.
    struct Next {
        std::optional<AllowedFlow> renew{};
        bool report = false;
    };
    Next conclude(const Decided& decided, TimePoint now);

    // Flows that a label allowed are decided again at once: those of this user, or this flow.
    void hasten(Uid uid, TimePoint now);
    void hasten(const Flow& flow, TimePoint now);

    // --- all of them ---

    void list(const FlowFilter& filter, std::size_t most, const FlowWalks::Done& done);
    void revoke(const FlowFilter& filter, const FlowWalks::Done& done);
    void go_on(TimePoint now); // the next few steps of these

    // --- of connections that the kernel has, and nobody here may have decided ---

    // Leaves the flows that are not known. Others that were never judged are decided again.
    void take_known(std::vector<UndecidedFlow>& flows,
                    const std::function<bool(const Flow&)>& is_open, TimePoint now);
    // It is decided as if it began now, and ended where it is not allowed.
    void add_undecided(const UndecidedFlow& undecided, TimePoint now);
    // It is allowed: the kernel has recognised both ends as this user's.
    void add_recognised(const UndecidedFlow& recognised, TimePoint now);

  private:
    Next conclude_allowed(AllowedFlows::Id id, const Decided& decided, TimePoint now);
    Next keep(AllowedFlows::Id id, const AllowedFlow& allowed, TimePoint now);
    void look_again(AllowedFlows::Id id, TimePoint now);
    bool is_vouched_for(const AllowedFlow& allowed) const;
    bool ends_by_label(Reason reason) const;
    Next end(AllowedFlows::Id id, Reason reason, TimePoint now);
    FlowWalks::Ended end(const AllowedFlow& allowed, Reason reason, bool again = false);
    FlowWalks::Ended revoke(const AllowedFlow& allowed);

    std::shared_ptr<const Rules> rules_;
    Shared shared_;
    const std::uint32_t loopback_;
    KeptVerdicts& kernel_;
    AllowedFlows allowed_;
    FlowWalks walks_;
    std::size_t under_way_ = 0; // decided again now
    std::atomic<std::size_t> size_{0};
};

} // namespace ubf
