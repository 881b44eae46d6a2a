// The keys that two nodes share, and what they seal with them. There is no handshake: X25519 of one
// node's secret and the other's public key gives both the same secret, for as long as they keep
// their keys. From it follows a key for each direction, purpose and epoch. It is BLAKE2b, 32 bytes,
// keyed with the shared secret, of these:
//  - "ubf pair 1" and six zero bytes
//  - purpose (8 characters)
//  - sender's public key (32), receiver's public key (32)
//  - epoch (8, network byte order)
//
// So a datagram that is replayed across pairs, directions, purposes or epochs does not open.
#pragma once

#include "identity/keys.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace ubf::identity {

enum class Epoch : std::uint64_t {};
inline constexpr unsigned epoch_bits = 22; // of the time in milliseconds
// An epoch lasts 70 minutes, by the clock that a datagram or a stamp states: no clocks need to
// agree.
constexpr Epoch epoch_of(std::chrono::milliseconds stated) {
    return Epoch{static_cast<std::uint64_t>(stated.count()) >> epoch_bits};
}

inline constexpr const char* purpose_ident = "ident   ";
inline constexpr const char* purpose_stamp = "stamp   ";

// shared: by NodeKey::shared_with(). purpose: 8 characters.
Secret pair_key(const Secret& shared, const PublicKey& from, const PublicKey& to,
                const char* purpose, Epoch epoch);

// XChaCha20-Poly1305-IETF. A random nonce of 24 bytes needs no counter, which a restart could lose.
inline constexpr std::size_t nonce_size = 24;
inline constexpr std::size_t tag_size = 16;
using SealNonce = std::array<std::uint8_t, nonce_size>;

// out: tag_size longer than text; the two may begin at the same byte. `beside` is authenticated,
// and not sealed.
void seal(std::span<std::uint8_t> out, Bytes text, Bytes beside, const SealNonce& nonce,
          const Secret& key);
// out: tag_size shorter than sealed. False if a bit of anything differs; then `out` is zeroed.
[[nodiscard]] bool open(std::span<std::uint8_t> out, Bytes sealed, Bytes beside,
                        const SealNonce& nonce, const Secret& key);

} // namespace ubf::identity
