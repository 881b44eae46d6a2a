// The ident protocol on the wire: who owns this socket?
//
// One UDP datagram each way, between privileged ports of two peers. All numbers in network byte
// order. A datagram is a header, entries of one kind, and a MAC:
//
//      0       1       2       3       4       5       6       7
//     +-------+-------+-------+-------+-------+-------+-------+-------+
//   0 | 'U'     'B'   |version|  to   | kind  | count |    length     |
//   8 |            key id             | from  |           0           |
//  16 |             sender's clock, milliseconds                      |
//  24 | entries ...                                                   |
//     | MAC, 16 bytes                                                 |
//
// The MAC is BLAKE2b, keyed with the cluster key, of both addresses and ports and of all bytes
// before it. The fields `to` and `from` are channels. Each asking thread of a peer has its own, and
// an answer goes back to the channel that asked. Every entry begins with the nonce of its question:
// 64 random bits that the answer must repeat.
//
// decode() accepts only well-formed datagrams, made with the cluster key for these two endpoints.
// The caller checks the clock and the nonce.
#pragma once

#include "base/result.hpp"
#include "flow/flow.hpp"
#include "ident/key.hpp"
#include "owner/owner.hpp"
#include "policy/verdict.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

namespace ubf::identity {
struct Certificate;
}

namespace ubf::ident {

using CertificatePtr = std::shared_ptr<const identity::Certificate>;

// Fits an Ethernet frame with room for tunnels, so that no datagram is ever fragmented.
inline constexpr std::size_t max_datagram = 1400;
inline constexpr std::size_t max_groups = 240; // of one answer; for more, see Question::group
inline constexpr std::size_t max_labels = 8;
inline constexpr std::size_t max_label_bytes = 272; // of all labels of one answer
inline constexpr std::size_t max_common = 8;        // groups that both ends of a refused flow have
inline constexpr std::size_t max_comm = 64; // a kernel thread's can be longer than TASK_COMM_LEN

inline constexpr std::size_t channel_offset = 3; // of `to`

// Changes whenever the meaning of a datagram changes. Nodes of different versions tell each other
// so, instead of guessing.
inline constexpr std::uint8_t version = 3;

enum class Nonce : std::uint64_t {};
enum class Channel : std::uint8_t { service = 0, first_asker = 1 };
using Milliseconds = std::chrono::milliseconds; // since 1970

// The role of the end in question: always the answerer's end, which is the flow's source.
enum class Role : std::uint8_t { connector = 1, listener = 2 };

struct Question {
    Nonce nonce{};
    Role role = Role::connector;
    // The packet that waits: its source is the answerer's end, its destination the asker's.
    Flow flow;
    // The uid of the asker's own end. If the answerer's end has the same uid, the answer needs no
    // credentials.
    std::optional<Uid> same_as;
    // Set instead of same_as, if an earlier answer had as many groups as fit. If the socket's
    // process has this group as well, the answer names it.
    std::optional<Gid> group{};
};

// The completeness of an answer. The uid is always there, at once; credentials take a search.
enum class Part : std::uint8_t {
    whole, // nothing follows
    uid,   // the credentials follow in another answer to the same nonce
    busy,  // no time to find more credentials: the question is over, and may be asked again
};

struct Answer {
    Nonce nonce{};
    Owner owner;             // unknown: no socket of that flow
    Part part = Part::whole; // otherwise the owner is a user; `uid`: without credentials
};

// The socket of an answered UDP question is gone, which ends whatever was allowed for it.
struct Gone {
    Nonce nonce{};
    Flow flow; // as it was in the question
};

struct GoneSeen {
    Nonce nonce{};
};

// A flow that was refused, for the node of its connector. Sent once; nobody confirms it.
struct Refused {
    Nonce nonce{};
    Flow flow; // the source is the connector's end, at the reader's node
    Reason reason = Reason::internal_error;
    bool ended = false;
    bool observed = false; // it was let pass
    std::optional<Uid> connector{};
    std::optional<Uid> listener{};
    Process program{};         // of the connector, as its node has said
    std::vector<Gid> common{}; // groups of both ends, a few
};

// How would the listener's node decide this flow? Nothing depends on it; people ask, by `explain`.
struct Inquiry {
    Nonce nonce{};
    Flow flow;               // TCP or UDP; the source is the connector's end, at the asker's node
    std::optional<Uid> as{}; // a connector who is supposed to be there
};

struct Decision {
    Nonce nonce{}; // of the inquiry
    Reason reason = Reason::internal_error;
    bool observed = false;  // the policy refuses the flow, but it is let pass
    bool unwatched = false; // the kernel lets the flow pass, whatever the reason
    std::optional<Uid> connector{};
    std::optional<Uid> listener{};
};

using Entries = std::variant<std::vector<Question>, std::vector<Answer>, std::vector<Gone>,
                             std::vector<GoneSeen>, std::vector<Refused>, std::vector<Inquiry>,
                             std::vector<Decision>>;

struct Datagram {
    Channel to = Channel::service;
    Channel from = Channel::service;
    Milliseconds time{};
    Entries entries;
    bool sealed = false; // read from one that was sealed for us (sealed.hpp)
    CertificatePtr by{}; // of the node that sealed it
};

// The two ends of a datagram.
struct Path {
    Endpoint from;
    Endpoint to;

    Path reversed() const { return {to, from}; }
};

enum class Rejection : std::uint8_t {
    malformed, // doesn't fit the format
    foreign,   // from an address or port that no peer speaks from
    other_version,
    no_certificate, // not sealed where it must be, or by a key that no certificate has
    wrong_key,      // the MAC is not made with a key of ours, or for other addresses
    late,           // the sender's clock is out of the window
    repeated,       // seen before
    unasked,        // an answer to no open question, or from another address; or a pushed owner
    not_theirs,     // a question about a flow that doesn't end at the asker
    count_,
};

std::string_view to_string(Rejection rejection);

// Writes a datagram with as many entries as fit, from `first` on, to `out`, which must hold
// max_datagram bytes. Moves `first` past the written entries: call again while any are left.
std::span<const std::uint8_t> encode(std::span<std::uint8_t> out, const Datagram& datagram,
                                     std::size_t& first, const Path& path, const Key& key);

Result<Datagram, Rejection> decode(std::span<const std::uint8_t> bytes, const Path& path,
                                   const KeyRing& keys);

// The version that a datagram states, known or not.
std::optional<std::uint8_t> spoken_version(std::span<const std::uint8_t> bytes);
// Whether the datagram has no entries. A node answers another version with such a notice of its
// own, and never answers a notice.
bool is_notice(std::span<const std::uint8_t> bytes);

// Identifies a datagram that decode() accepted, by its MAC, so that a repeated one is detected.
std::uint64_t fingerprint(std::span<const std::uint8_t> bytes);

} // namespace ubf::ident
