// Datagrams between two nodes that have certificates. They are sealed with a key of the pair, so
// neither the network nor another node reads or makes them. Bytes:
//
//  - 0, 2: 'U' 'S'
//  - 2, 1: version of ident
//  - 3, 1: destination channel
//  - 4, 1: kind, as in wire.hpp; or 9, an introduction
//  - 5, 1: number of entries; 0: the sender says that it seals. In an introduction, 1 asks for the
//    receiver's
//  - 6, 2: length
//  - 8, 4 and 12, 4: ids of the sender's and of the receiver's key
//  - 16, 8: sender's clock, milliseconds since 1970; the epoch of the key follows from it
//  - 24, 24: nonce
//  - 48: sealed: source channel (1), entries. If its highest bit is set, grants follow, each behind
//    a byte with its length
//  - end, 16: tag
//
// Both ends, and the first 24 bytes, are authenticated beside. An introduction has, from byte 24
// on, the sender's certificate and nothing else: the certificate proves nothing about who sends it.
// At 12 it has the receiver's cookie, sent back, and at 16 the sender's own; 0: none.
#pragma once

#include "base/result.hpp"
#include "ident/wire.hpp"
#include "identity/certificate.hpp"
#include "identity/pair.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ubf::ident {

struct Envelope {
    identity::KeyId sender{};
    identity::KeyId receiver{};
    Milliseconds time{};

    identity::Epoch epoch() const { return identity::epoch_of(time); }
};

using Grants = std::vector<std::vector<std::uint8_t>>;

bool is_sealed(std::span<const std::uint8_t> bytes); // or an introduction
// Nothing if it is malformed, or an introduction.
std::optional<Envelope> envelope_of(std::span<const std::uint8_t> bytes);

// As encode(). Grants that do not fit are left out. key: of the pair, in this direction, for the
// epoch of datagram.time.
std::span<const std::uint8_t> seal(std::span<std::uint8_t> out, const Datagram& datagram,
                                   std::size_t& first, const Path& path, const Envelope& envelope,
                                   const identity::SealNonce& nonce, const identity::Secret& key,
                                   const Grants& grants = {});
// bytes: with a good envelope. A datagram without entries has an empty list of questions.
struct Opened {
    Datagram datagram;
    Grants grants{};
};
Result<Opened, Rejection> open(std::span<const std::uint8_t> bytes, const Path& path,
                               const identity::Secret& key);

// Shows its maker that it comes back from the address to which it was sent.
enum class PeerCookie : std::uint32_t {};

struct Introduction {
    identity::Bytes certificate;
    bool asks = false;      // for the receiver's
    PeerCookie own{};       // to be sent back
    PeerCookie sent_back{}; // the receiver's; an older ubfd sends none
};
std::span<const std::uint8_t> introduce(std::span<std::uint8_t> out, const Introduction& own,
                                        identity::KeyId key);
std::optional<Introduction> introduction_of(std::span<const std::uint8_t> bytes);

} // namespace ubf::ident
