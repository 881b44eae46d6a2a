// The ident protocol on the wire: who owns this socket?
//
// One UDP datagram each way, between privileged ports of two peers. All numbers in network byte
// order. A datagram is a header, entries of one kind, and a MAC:
//
//      0       1       2       3       4       5       6       7
//     +-------+-------+-------+-------+-------+-------+-------+-------+
//   0 | 'U'     'B'   |version|  to   | kind  | count |    length     |
//   8 |            key id             | from  |           0           |
//  16 |       sender's clock, milliseconds since 1970                 |
//  24 | entries ...                                                   |
//     | MAC, 16 bytes                                                 |
//
// The MAC is BLAKE2b, keyed with the cluster key, of both addresses and ports and of all before it.
// `to` and `from` are channels: each of a peer's threads that ask has one, and an answer goes back
// to the one that asked. Every entry begins with the nonce of its question: 64 random bits that the
// answer must repeat.
//
// Everything that decode() returns was written by somebody who knows the key, between these two
// endpoints, and fits the format; the clock and the nonce are for the caller to check.
#pragma once

#include "base/result.hpp"
#include "flow/flow.hpp"
#include "ident/key.hpp"
#include "owner/owner.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

namespace ubf::ident {

// Fits an Ethernet frame with room for tunnels, so that no datagram is ever fragmented.
inline constexpr std::size_t max_datagram = 1400;
inline constexpr std::size_t max_groups = 240; // of one answer; of more, see Question::group
inline constexpr std::size_t max_labels = 8;
inline constexpr std::size_t max_label_bytes = 272; // of all labels of one answer
inline constexpr std::size_t max_comm = 64; // a kernel thread's can be longer than TASK_COMM_LEN

inline constexpr std::size_t channel_offset = 3; // of `to`

// Changes whenever a datagram means something else, or something new: nodes of two versions do not
// guess what the other means, but say that they don't understand each other.
inline constexpr std::uint8_t version = 3;

enum class Nonce : std::uint64_t {};
enum class Channel : std::uint8_t { service = 0, first_asker = 1 };
using Milliseconds = std::chrono::milliseconds; // since 1970

// Which end of the flow is asked about: it is always the answerer's, the flow's source.
enum class Role : std::uint8_t { connector = 1, listener = 2 };

struct Question {
    Nonce nonce{};
    Role role = Role::connector;
    // The packet that waits: its source is the answerer's end, its destination the asker's.
    Flow flow;
    // The asker's own end belongs to this uid: the answer needs no credentials when it is the same.
    std::optional<Uid> same_as;
    // Instead of same_as, where an answer before had as many groups as fit: if the socket's process
    // has this one as well, the answer names it among them.
    std::optional<Gid> group{};
};

// How much of an answer this is. The uid is always there, at once; credentials take a search.
enum class Part : std::uint8_t {
    whole, // nothing follows
    uid,   // the credentials follow in another answer to the same nonce
    busy,  // no time to find more credentials than these: the question is over, and may come again
};

struct Answer {
    Nonce nonce{};
    Owner owner;             // unknown: no socket of that flow
    Part part = Part::whole; // otherwise a user, and with `uid` one without credentials
};

// The socket of an answered question about UDP is gone: whatever was allowed for it is over.
struct Gone {
    Nonce nonce{};
    Flow flow; // as it was in the question
};

struct GoneSeen {
    Nonce nonce{};
};

using Entries = std::variant<std::vector<Question>, std::vector<Answer>, std::vector<Gone>,
                             std::vector<GoneSeen>>;

struct Datagram {
    Channel to = Channel::service;
    Channel from = Channel::service;
    Milliseconds time{};
    Entries entries;
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
    wrong_key,  // the MAC is not made with a key of ours, or for other addresses
    late,       // the sender's clock is out of the window
    repeated,   // seen before
    unasked,    // an answer to nothing that is being asked, or from another address; or told ahead
    not_theirs, // a question about a flow that doesn't end at the asker
    count_,
};

std::string_view to_string(Rejection rejection);

// As many entries as fit, from the front; the datagram is written to `out`, which must have room
// for max_datagram bytes. `first` is moved past what was written: call again while entries are
// left.
std::span<const std::uint8_t> encode(std::span<std::uint8_t> out, const Datagram& datagram,
                                     std::size_t& first, const Path& path, const Key& key);

Result<Datagram, Rejection> decode(std::span<const std::uint8_t> bytes, const Path& path,
                                   const KeyRing& keys);

// Of a datagram of any version.
std::optional<std::uint8_t> spoken_version(std::span<const std::uint8_t> bytes);
// Whether it has no entries: whoever hears another version answers by such a one of its own, and
// that is not answered.
bool is_notice(std::span<const std::uint8_t> bytes);

// The MAC of a datagram that decode() accepted: what tells a repeated one.
std::uint64_t fingerprint(std::span<const std::uint8_t> bytes);

} // namespace ubf::ident
