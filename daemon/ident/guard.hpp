// The checks that every ident datagram passes before anybody acts on it, asker and service alike.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/ident/identities.hpp"
#include "daemon/ident/peer_table.hpp"
#include "ident/socket.hpp"
#include "ident/wire.hpp"

#include <memory>
#include <optional>

namespace ubf::ident {

// The terms on which both sides of ident agree.
struct Terms {
    Port port = 0;
    Milliseconds clock_skew{};
    std::vector<Prefix> peers; // on every network
    KeyRing keys;
    AddressMap management{}; // from an address of the fabric to that at which its ubfd is asked
    std::vector<Prefix> portals{};            // nodes with portals: they may ask who listens here
    std::shared_ptr<Identities> identities{}; // if this node has a key of its own

    // The path between the nodes at both ends of a flow; from: the asker.
    Path path(const Address& from, const Address& to) const {
        return {{management(from), port}, {management(to), port}};
    }
    // As encode(): sealed, or under the cluster key.
    std::span<const std::uint8_t> write(std::span<std::uint8_t> out, const Datagram& datagram,
                                        std::size_t& first, const Path& path,
                                        Identities::Why why) const;
    // Whether a datagram came along the path from `from` to `to`.
    bool came_between(const Path& path, const Address& from, const Address& to) const {
        return path.from.address == management(from) && path.to.address == management(to);
    }
};

Milliseconds wall_clock();

// Rejects and counts a datagram that is foreign, forged, malformed or late. Questions and answers
// need no clock: a question is answered to the peer alone, and an answer repeats a nonce of ours.
// So does a decision. All others must be young by the sender's clock, whose offset its last answer
// has shown. wall: our own clock, as wall_clock() reads it.
Result<Datagram, Rejection> accept(const Received& received, const Terms& terms, PeerTable& peers,
                                   IdentCounters& counters, Milliseconds wall);

} // namespace ubf::ident
