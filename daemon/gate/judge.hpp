// Judges the packets of one worker: has both owners found, and gives verdicts. It carries out the
// steps of the inquiry (policy/inquiry.hpp) by its parts, which return what they found and do not
// call each other. Nothing here waits: a packet whose owners are not known yet is a case that stays
// open meanwhile. All is called by the worker's thread.
#pragma once

#include "daemon/core/histogram.hpp"
#include "daemon/gate/arrivals.hpp"
#include "daemon/gate/cases.hpp"
#include "daemon/gate/closed_ports.hpp"
#include "daemon/gate/finder.hpp"
#include "daemon/gate/outcomes.hpp"
#include "daemon/gate/questions.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace ubf {

class Mailbox;

// From a packet's arrival to its verdict. The kernel's own verdicts take no time that ubfd sees.
struct DecisionTimes {
    Histogram queue; // by this node alone
    Histogram asked; // a peer was asked, too

    void add(const Case& decided, TimePoint now);
};

class Judge {
  public:
    // asker: nobody else uses it. mailbox: of the worker, for what other threads find.
    Judge(ident::Peers& asker, std::shared_ptr<const Rules> rules, Sockets& sockets,
          KeptVerdicts& verdicts, const Shared& shared, Mailbox& mailbox);

    // review: the new rules may change verdicts, so every allowed flow is decided again.
    void set_rules(std::shared_ptr<const Rules> rules, bool review);
    // A peer withdrew its answer about a flow, whose case may be open.
    void reconsider(const Flow& flow);
    FlowBook& book() { return outcomes_.book(); }
    const FlowBook& book() const { return outcomes_.book(); }
    const DecisionTimes& times() const { return times_; } // any thread may read them
    bool is_open(const Flow& flow) const { return cases_.contains(flow); } // it has a case

    // --- the steps of a round ---

    void arrive(Arrival arrival, TimePoint now);
    void begin_arrived(TimePoint now); // the cases of what arrived
    void on_time(TimePoint now);
    void write(TimePoint now); // questions, and what the kernel must know before the packets go on
    void confirm(TimePoint now) { outcomes_.confirm(now); } // after they went on
    std::optional<TimePoint> next() const;
    bool is_pressed() const { return questions_.is_pressed(); } // no more can be asked now

    std::chrono::milliseconds patience() const; // the longest that a case waits
    bool any_open() const { return !cases_.empty() || arrived_.any_wait(); }
    void drop_all();

  private:
    Case& add_arrived(Case&& item);
    void begin(Case&& item, const OwnerLookup::Ends& ends, TimePoint now);
    void begin_at_closed_port(Case&& item, const OwnerLookup::Found& source, TimePoint now);

    // Carries out the steps of the inquiry, until it has to wait or the verdict stands. A fact is
    // there at once, or comes later.
    enum class Fact : bool { known, comes_later };
    void go_on(Case&& item, TimePoint now);
    Fact find(Case& item, Need need, TimePoint now);
    Fact ask(Case& item, std::optional<Gid> group, TimePoint now);
    Fact find_credentials(Case& item, TimePoint now);
    bool search(Case& item, Need end, TimePoint now);
    void wait(Case&& item, TimePoint now);
    void answered(const Flow& flow, Questions::Heard heard, const Owner& owner, TimePoint now);
    void named(const Flow& flow, const Owner& owner, TimePoint now);
    struct Search {
        Flow flow;
        std::uint64_t number; // of the case
        Need end;
    };
    void found(const Search& search, Owner owner, bool in_time, TimePoint now);

    void give_up(std::optional<Case> item, TimePoint now);
    void close(Case&& item, Reason reason, TimePoint now);

    std::shared_ptr<const Rules> rules_;
    Shared shared_;
    Mailbox& mailbox_;
    Finder finder_;
    Questions questions_;
    Cases cases_;
    Outcomes outcomes_;
    DecisionTimes times_;
    ClosedPorts closed_ports_;
    Arrivals arrived_; // to be decided, also again
    std::uint64_t last_number_ = 0;
};

} // namespace ubf
