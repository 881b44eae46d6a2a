// The flows that one worker has allowed, so that they can be listed, decided again and ended. Pure
// memory: the caller says whether the kernel still has a flow.
//
// Most flows rest here until something changes, since established traffic costs nothing. UDP flows,
// and flows that a label allowed, are watched: they come up from time to time. Other flows come up
// once when they are to be decided again.
//
// No notice tells when a connection ends. To make room, a clock hand inspects at most two resting
// flows and evicts one that has ended. If none has, it evicts a flow of a user who holds more than
// the newcomer's user, or rejects the newcomer. Watched flows have room of their own (for TCP, see
// labelled_room.hpp).
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/gate/labelled_room.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "flow/flow.hpp"
#include "owner/owner.hpp"
#include "policy/policy.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace ubf {

// The owner of an end when the flow was decided.
struct Party {
    OwnerKind kind = OwnerKind::unknown;
    Uid uid{}; // of kind user only

    static Party of(const Owner& owner) { return {owner.kind, owner.uid}; }
    Owner owner() const { return {kind, uid, std::nullopt}; }
    bool is(Uid user) const { return kind == OwnerKind::user && uid == user; }
};

struct AllowedFlow {
    Flow flow{}; // as the packets have it: the destination is ours
    Reason reason = Reason::same_user;
    bool reply = false;          // the destination is the connector
    bool fabric = false;         // it comes in over the fabric
    bool undecided = false;      // nobody has allowed it yet: the reason says nothing
    std::uint32_t interface = 0; // where it came in
    std::uint32_t sequence = 0;  // of the SYN
    Uid via{};                   // as whom a portal runs, that connects for the connector; 0: none
    Party listener{};
    Party connector{};
    UdpFlows::Lease lease{}; // of UDP
    TimePoint since{};

    bool is_udp() const { return flow.protocol == Protocol::udp; }
    bool by_label() const { return reason == Reason::same_label; }
    // A portal's connection is also its own: if a portal was taken over, all of them can be ended.
    bool is_of(Uid user) const {
        return listener.is(user) || connector.is(user) || (via == user && user != Uid{});
    }
    Flow from_connector() const { return reply ? flow.reversed() : flow; }
};

// The flows that somebody asks for; an empty field fits all.
struct FlowFilter {
    std::optional<Uid> user{}; // at either end
    std::optional<Reason> reason{};
    std::optional<Flow> flow{}; // connector to listener

    bool fits(const AllowedFlow& allowed) const {
        return (!user || allowed.is_of(*user)) &&
               (!reason || (allowed.reason == *reason && !allowed.undecided)) &&
               (!flow || allowed.from_connector() == *flow);
    }
};

// Why the flow is still allowed, where the uids alone say so; nothing where it takes a closer look.
// is_local: its source is on this node.
std::optional<Reason> allowed_by_uid(const AllowedFlow& allowed, bool is_local,
                                     std::span<const Prefix> peers, const Policy& policy);

class AllowedFlows {
  public:
    using Id = std::uint32_t; // below slots(); that of a flow which is gone is used again

    struct Entry : AllowedFlow {
        TimePoint when{};   // it comes up next, where it is to
        TimePoint decide{}; // when it is to be decided again, should it be there still
        // By id: in the list that it waits in, and in its bucket.
        Id earlier = 0;
        Id later = 0;
        Id next = 0;
        enum class Place : std::uint8_t { nowhere, resting, waiting, at_leisure, retried, in_hand };
        Place place = Place::nowhere;
        bool watched = false;
        std::uint8_t silences = 0; // how often its peer did not answer, one after the other
        bool end_refused = false;  // the kernel did not end it when it was told to
    };

    static constexpr std::size_t most_resting = 65536;
    // From one look to the next; of TCP longer where there are many, so that no more than 1,600 a
    // second come up.
    static constexpr std::chrono::seconds pause{10};
    static constexpr std::chrono::seconds short_pause{1}; // where there was no room for it
    static constexpr std::chrono::seconds handshake{1};   // after it a connection is there

    // seed: of the hash, so that nobody knows which flows share a bucket.
    explicit AllowedFlows(LabelledRoom& labelled, std::size_t room = most_resting,
                          std::uint64_t seed = random_seed());
    ~AllowedFlows();
    AllowedFlows(const AllowedFlows&) = delete;
    AllowedFlows& operator=(const AllowedFlows&) = delete;

    enum class Added : std::uint8_t { remembered, instead_of_another, no_room };
    // Takes the place of what was remembered of the same flow. A watched one is decided again at
    // `decide`. is_over: whether the kernel has it no more, for certain.
    Added add(const AllowedFlow& allowed, bool watched, TimePoint decide, TimePoint now,
              const std::function<bool(const AllowedFlow&)>& is_over);
    void remove(Id id);

    Entry& operator[](Id id) { return entries_[id]; }
    const Entry& operator[](Id id) const { return entries_[id]; }
    std::optional<Id> find(const Flow& flow) const;
    std::size_t slots() const { return entries_.size(); }
    bool is_used(Id id) const { return entries_[id].place != Entry::Place::nowhere; }
    bool is_in_hand(Id id) const { return entries_[id].place == Entry::Place::in_hand; }
    std::size_t size() const { return size_; }

    // One whose time has come. It is in hand until it is put back, kept, or removed.
    std::optional<Id> take_due(TimePoint now);
    std::optional<TimePoint> next() const;
    enum class Again : std::uint8_t { at_once, soon, later };
    void put_back(Id id, Again again, TimePoint now);
    // It is allowed, for this reason.
    void keep(Id id, Reason reason, bool watched, TimePoint decide, TimePoint now);

    // They are decided again first of all. Those in hand are anyway.
    void hasten(Id id, TimePoint now);
    void hasten_watched(const std::function<bool(const Entry&)>& chosen, TimePoint now);

  private:
    static constexpr Id none = ~Id{0};
    static constexpr std::size_t buckets = 65536;
    static constexpr unsigned most_looks = 2;

    struct List {
        Id first = none;
        Id last = none;
    };
    static std::uint64_t random_seed();
    static std::uint64_t charged(const AllowedFlow& allowed);
    std::size_t bucket(const Flow& flow) const;
    std::optional<Id> next_resting();
    std::optional<Added> make_room(const AllowedFlow& newcomer, TimePoint now,
                                   const std::function<bool(const AllowedFlow&)>& is_over);
    std::size_t resting_of(const AllowedFlow& allowed) const;
    void count(const Entry& entry, bool more);
    void watch(Id id, TimePoint now);
    List* list_of(const Entry& entry);
    void append(Id id, Entry::Place place, TimePoint when);
    void prepend(Id id, Entry::Place place, TimePoint when);
    void take_out(Id id);

    LabelledRoom& labelled_;
    const std::size_t room_;
    const std::uint64_t seed_;
    std::deque<Entry> entries_; // grows in small pieces, and never moves
    std::vector<Id> free_;
    std::vector<Id> buckets_;
    std::size_t size_ = 0;
    std::size_t resting_ = 0;                                   // all that are not watched
    std::unordered_map<std::uint64_t, std::size_t> resting_of_; // by whom they are charged to
    std::size_t watched_ = 0;                                   // of TCP
    List waiting_;                                              // each in the order of its time
    List at_leisure_;                                           // of TCP
    List retried_;
    Id hand_ = 0;
};

} // namespace ubf
