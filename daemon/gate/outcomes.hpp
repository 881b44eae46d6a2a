// Carries out what follows from a verdict beside its packets: the kernel is told, the flow is
// remembered, the denial is logged.
#pragma once

#include "daemon/gate/case.hpp"
#include "daemon/gate/flow_book.hpp"
#include "daemon/gate/leases.hpp"
#include "daemon/gate/rules.hpp"
#include "daemon/gate/shared.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace ubf {

class Outcomes {
  public:
    // loopback: the interface.
    Outcomes(std::shared_ptr<const Rules> rules, KeptVerdicts& verdicts, const Shared& shared,
             std::uint32_t loopback);

    void set_rules(std::shared_ptr<const Rules> rules, bool review);
    FlowBook& book() { return book_; }
    const FlowBook& book() const { return book_; }
    std::optional<TimePoint> next() const { return book_.next(); }

    // Before the packets of this round go on, and after it.
    void write() { leases_.write(); }
    void confirm(TimePoint now);

    // An allowed flow is known from now on. If it can't be, it must not be allowed: the reason says
    // so.
    Reason allow(const Case& item, Reason reason, TimePoint now);
    void deny(const Case& item, Reason reason);
    // It would be refused, but the site only observes such flows: it goes on.
    void let_pass(const Case& item, Reason reason, TimePoint now);
    // A flow that was allowed before. If it still is, it goes on; otherwise it ends.
    struct Again {
        Reason reason;
        bool observed;    // it would end, but goes on
        bool same_socket; // as when it was looked up
        bool stale;       // a label changed, or a peer withdrew its answer
    };
    void decided_again(const Case& item, const Again& again, TimePoint now);
    void note_exempt_listener(const Case& item);
    void log_scan(const Case& item);

  private:
    void remember_denied(const Case& item, Reason reason);
    void report(const Case& item, Reason reason, bool observed);

    std::shared_ptr<const Rules> rules_;
    KeptVerdicts& verdicts_;
    Shared shared_;
    Leases leases_;
    FlowBook book_;
};

} // namespace ubf
