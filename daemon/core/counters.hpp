// Counters of events. Every thread counts, status reads; no order between counters is promised.
#pragma once

#include "ident/wire.hpp"
#include "owner/owner.hpp"
#include "policy/objection.hpp"
#include "policy/verdict.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace ubf {

class Counter {
  public:
    void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

// One counter for each value of an enum that ends in count_.
template<typename Enum>
class Counts {
  public:
    void add(Enum which) { counters_[static_cast<std::size_t>(which)].add(); }
    std::uint64_t read(Enum which) const {
        return counters_[static_cast<std::size_t>(which)].read();
    }

    template<typename F>
    void each(F&& visit) const {
        for (std::size_t i = 0; i < counters_.size(); ++i)
            visit(static_cast<Enum>(i), counters_[i].read());
    }

  private:
    std::array<Counter, static_cast<std::size_t>(Enum::count_)> counters_;
};

// Packets, by the action that was taken.
class ActionSums {
  public:
    explicit ActionSums(const Counts<Reason>& reasons) {
        reasons.each([&](Reason reason, std::uint64_t count) {
            sums_[static_cast<std::size_t>(action_of(reason))] += count;
        });
    }
    std::uint64_t operator[](Action action) const {
        return sums_[static_cast<std::size_t>(action)];
    }

  private:
    std::array<std::uint64_t, static_cast<std::size_t>(Action::count_)> sums_{};
};

// Packets from the queues.
struct GateCounters {
    Counts<Reason> verdicts;     // one for each packet that was judged
    Counts<Reason> would_deny;   // flows that are only observed
    Counter levels_contradicted; // by what the packet itself states
    Counter packets_gone;        // a verdict came for a packet that the kernel had dropped already
    Counter verdict_errors;      // the kernel refused a verdict for another reason
    Counter messages_lost;       // ENOBUFS on a queue's socket
};

// Flows that were allowed, and the kernel's memory of verdicts.
struct FlowCounters {
    Counter ended;          // allowed once, but not when decided again
    Counter not_ended;      // the kernel refused to
    Counter not_remembered; // for want of room; they can be neither listed nor ended
    Counter undecided;      // connections that began while the ruleset was not whole
    Counter sets_full;      // verdicts for which the kernel's sets had no room
    Counter notices_lost;   // ENOBUFS on the socket-destroy notices
};

// Owners of sockets on this node, and of those that peers named.
struct OwnerCounters {
    Counts<Method> methods;
    Counts<LabelOrigin> labels; // found behind sockets
    Counter labels_unknown;     // a process, or the label of its job, could not be found
    Counter searches_refused;   // too many waited; the packet or question is retransmitted
};

struct IdentCounters {
    Counts<ident::Rejection> rejections;
    Counter questions; // asked of peers
    Counter retransmissions;
    Counter answers;        // received, and believed
    Counter answers_busy;   // of these, without credentials: the peer had no time to find them
    Counter answered;       // questions of peers
    Counter no_evidence;    // of these, about datagrams that this node has not sent
    Counter answered_busy;  // of these, without credentials: we had no time to find them
    Counter not_sent;       // datagrams for which the kernel had no room; they are retransmitted
    Counter over_share;     // entries of peers that sent more than their share; dropped
    Counter told_forgotten; // evicted; the peers decide these flows again by themselves
    struct {
        Counter told;  // refusals, to their connectors' nodes
        Counter heard; // the same of ours, from peers
    } refused;
    struct {
        Counter sent; // of sockets and labels, to peers that were told of them
        Counter received;
    } gone;
    struct {
        Counter asked;    // about decisions of peers, for explain
        Counter answered; // the same of peers
        Counter refused;  // of peers who asked too much
    } inquiries;
    struct {
        Counter answered; // questions of portals' nodes, who listens here
        Counter refused;  // the same of nodes that have none
    } listeners;
};

struct JobCounters {
    Counter begun;
    Counter ended;
    Counter vanished; // the cgroup is gone, without `job end`
    Counter refused;  // at registration, for a bad field
};

// Connections of the RDMA connection manager.
struct RdmaCounters {
    Counter seen;
    Counter allowed; // of these
    Counter denied;
    Counter no_answer; // the owner of the other end is not known
    Counter ended;     // of those that were denied
    Counter not_ended; // and were to be
};

// Web portals: their questions, and the tickets that the answers left.
struct PortalCounters {
    Counter asked;
    Counter allowed;        // of these
    Counts<Reason> refused; // by the policy
    Counts<Objection> objected;
    Counter spent;   // tickets for which a connection came
    Counter expired; // those for which none came in time
    Counter evicted; // those that gave way
    Counter missing; // a portal's connections without a ticket
};

// Lines of the log.
struct LogCounters {
    Counter written;
    Counter folded;     // into another line, which has their number
    Counter over_share; // of a user who had their share of lines; logged as a number
    Counter lost;
};

// A part that counts one kind of event knows only that member.
struct Counters {
    GateCounters gate;
    FlowCounters flows;
    OwnerCounters owners;
    IdentCounters ident;
    JobCounters jobs;
    RdmaCounters rdma;
    PortalCounters portal;
    LogCounters log;
};

} // namespace ubf
