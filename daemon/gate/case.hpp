// A flow that a worker is deciding, with the packets that wait for its verdict.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/gate/queue.hpp"
#include "daemon/owners/changes.hpp"
#include "flow/flow.hpp"
#include "ident/wire.hpp"
#include "owner/lookup.hpp"
#include "policy/inquiry.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace ubf {

// The packets of one flow that wait for one verdict.
struct WaitingPackets {
    QueuedPacket first;
    std::uint32_t sequence = 0; // of the first
    std::vector<QueuedPacket> more{};

    // Another packet waits with the first. A SYN with another sequence number is another socket's,
    // maybe another user's who has the port by now: it is dropped, and its retransmission asks
    // again.
    void join(QueuedPacket another, std::uint32_t its_sequence);
    void judge(Reason reason);
};

// The sockets on this node, as they were looked up. The facts have what is known of their owners.
struct FoundSockets {
    SocketOwner destination{};
    std::optional<SocketOwner> source{}; // if it is on this node too
};

// To the peer.
struct PeerQuestion {
    std::optional<ident::Nonce> open{}; // while it is
    bool asked = false;                 // at any time
};

struct Case {
    std::uint64_t number; // of this case alone, for a flow may have another later
    std::uint32_t interface;
    bool fabric; // the flow came in over the fabric
    WaitingPackets packets;
    TimePoint since;
    Facts facts;
    PeerQuestion question{};
    FoundSockets found{};
    unsigned searches = 0; // under way
    Changes::Moment begun{};
    std::optional<Flow> original{}; // of a translated one: what its sender's socket has
    bool stale = false;             // a peer has withdrawn its answer
    bool again = false;      // it was allowed before; no packet waits but those that came meanwhile
    std::uint64_t tries = 0; // of a scan: only who tries is not known yet
    std::optional<TimePoint> deadline{}; // set when it first waits

    const Flow& flow() const { return facts.flow; }
    // As its sender's socket has it.
    const Flow& sent() const { return original ? *original : facts.flow; }
};

} // namespace ubf
