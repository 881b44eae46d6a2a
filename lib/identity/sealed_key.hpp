// The authority's signing key, under a passphrase. Numbers are in network byte order.
//
// Offset and size, in bytes:
//  - 0, 4: 'U' 'B' 'S' 1
//  - 4, 4: passes over the memory, for Argon2id (crypto_pwhash)
//  - 8, 4: its memory, in KiB
//  - 12, 16: its salt
//  - 28, 24: nonce
//  - 52, 32: the key that verifies (Ed25519)
//  - 84, 48: the seed of the key, sealed with what Argon2id makes of the passphrase
//    (crypto_secretbox: XSalsa20-Poly1305)
#pragma once

#include "base/result.hpp"
#include "identity/fault.hpp"
#include "identity/keys.hpp"

#include <string_view>
#include <vector>

namespace ubf::identity {

inline constexpr std::size_t sealed_key_size = 132;

// Takes a second, and 256 MB, as whoever tries passphrases needs for each. Nothing if there is no
// such memory.
std::optional<std::vector<std::uint8_t>> seal_key(const Secret& seed, std::string_view passphrase);
// forged: another passphrase, or a changed file.
Result<SigningKey, Fault> open_key(Bytes bytes, std::string_view passphrase);
// Without the passphrase.
Result<VerifyKey, Fault> verify_key_of(Bytes bytes);

} // namespace ubf::identity
