// The procedure of a decision: which fact to find next, until the verdict stands. Facts are a value
// and next() is a pure function of them: no I/O and no clock. The gate, `ubfctl explain` and the
// watcher of RDMA find the facts, each in its own way, and carry the verdict out.
#pragma once

#include "flow/flow.hpp"
#include "label/cipso.hpp"
#include "label/label.hpp"
#include "owner/owner.hpp"
#include "policy/policy.hpp"
#include "policy/verdict.hpp"

#include <cstdint>
#include <optional>
#include <variant>

namespace ubf {

// The place of the source of a packet.
enum class Place : std::uint8_t {
    here,      // on this node
    peer,      // on a node whose ubfd is asked
    elsewhere, // nobody is asked: Facts::source says why
};

enum class Need : std::uint8_t {
    destination,      // the owner of the socket that gets the packet
    source,           // the owner of the socket on this node that sent it
    answer,           // the peer's: the owner of the source
    group,            // the peer's: whether the source is in the destination's group
    credentials,      // of each end on this node that is a user's and lacks them
    sharers,          // the other listeners to which the kernel might give the connection
    same_destination, // whether the packet still goes to the same socket
    fresh_labels,     // whether each end still carries the labels that were found
};

// How far a peer's answer goes.
struct PeerAnswer {
    bool more_follows = false;       // the peer has named the user, and looks for the rest
    std::optional<Reason> missing{}; // the peer didn't say all, for this reason
    bool groups_cut = false;         // there was no room for all groups of the source
    bool group_asked = false;        // so the peer was asked for the one that counts
};

struct Facts {
    Flow flow{};        // as the packet has it: the destination is on this node
    bool reply = false; // the packet goes to the connector
    Place place = Place::peer;
    bool translated = false;             // by NAT, on the way here
    std::optional<Label> partition{};    // of the fabric: both ends carry its label
    std::optional<StatedLevel> stated{}; // the level of its sender, by the packet itself

    // Nothing until it was looked for. An owner of kind unknown: no socket is there.
    std::optional<Owner> destination{};
    std::optional<Owner> source{};
    std::optional<Reason> failed{}; // a fact can't be found, for this reason
    bool repeated = false;          // a SYN of a connection that the kernel has begun to open
    PeerAnswer answer{};
    std::optional<Reason> out_of_time{}; // a search ended early: what it lacks denies nobody
    bool sharers_known = false;          // a listener is as good as the least of them
    std::optional<bool> same_destination{};
    std::optional<bool> fresh_labels{};

    Flow from_connector() const { return reply ? flow.reversed() : flow; }
    // As far as they are known.
    const Owner& listener() const { return end(reply ? source : destination); }
    const Owner& connector() const { return end(reply ? destination : source); }

    // Notes the owner of an end, with the partition's label. The level that the packet states must
    // be the one that was told of its source: otherwise nobody knows the labels of the source.
    void learn_destination(Owner owner);
    enum class Levels : bool { agree, contradict };
    Levels learn_source(Owner owner);

  private:
    static const Owner& end(const std::optional<Owner>& owner);
};

using Step = std::variant<Need, Reason>;

// Asks for no fact that can't change the verdict any more, and never allows what has an unknown
// end that the policy doesn't exempt.
Step next(const Facts& facts, const Policy& policy);

// Whether an owner's credentials are still to be looked for.
inline bool lacks_credentials(const Owner& owner) {
    return owner.kind == OwnerKind::user && !owner.credentials;
}

} // namespace ubf
