// The keys of identity. Each node has one seed, and two key pairs follow from it. By X25519, any
// two nodes share a secret. Ed25519 signs the node's request and, if its certificate says so,
// grants. The administrator's signing key (Ed25519) is the authority. All are libsodium's.
//
// As text, each is a line, like a cluster key:
//
//     ubf-node-1 <64 hex digits>       a node's seed, which is secret
//     ubf-authority-1 <64 hex digits>  the public half of a signing key
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ubf::identity {

using Seconds = std::chrono::seconds; // since 1970
using Bytes = std::span<const std::uint8_t>;

inline constexpr std::size_t key_size = 32;
inline constexpr std::size_t signature_size = 64;
using KeyBytes = std::array<std::uint8_t, key_size>;

struct PublicKey { // of X25519
    KeyBytes bytes{};
    auto operator<=>(const PublicKey&) const = default;
};

struct VerifyKey { // of Ed25519
    KeyBytes bytes{};
    auto operator<=>(const VerifyKey&) const = default;
};

// The first 4 bytes, big-endian, of the BLAKE2b of a name for the purpose, and the key. They name a
// key in few bytes; they prove nothing.
enum class KeyId : std::uint32_t {};
enum class AuthorityId : std::uint32_t {};
KeyId id_of(const PublicKey& key);
AuthorityId id_of(const VerifyKey& key);

// 32 bytes that leave no copy in memory.
class Secret {
  public:
    explicit Secret(const KeyBytes& bytes)
      : bytes_(bytes) {}
    static Secret random();
    Secret(const Secret&) = default;
    Secret& operator=(const Secret&) = default;
    ~Secret();

    const KeyBytes& bytes() const { return bytes_; }

  private:
    KeyBytes bytes_;
};

using Signature = std::array<std::uint8_t, signature_size>;

// An Ed25519 key pair.
class SigningKey {
  public:
    explicit SigningKey(const Secret& seed);
    SigningKey(const SigningKey&) = default;
    SigningKey& operator=(const SigningKey&) = default;
    ~SigningKey();

    const VerifyKey& verify_key() const { return verify_key_; }
    Signature sign(Bytes message) const;

  private:
    std::array<std::uint8_t, 64> secret_;
    VerifyKey verify_key_;
};

bool is_signed_by(const VerifyKey& key, Bytes message, Bytes signature);

// The keys of one node, which follow from its seed by libsodium's crypto_kdf: context "ubf node",
// number 1 for X25519, number 2 for Ed25519.
class NodeKey {
  public:
    explicit NodeKey(const Secret& seed);

    const Secret& seed() const { return seed_; }
    const PublicKey& public_key() const { return public_key_; }
    KeyId id() const { return id_; }
    const SigningKey& signer() const { return signer_; }
    // The secret that both nodes share. Nothing for a point of low order, which no node has.
    std::optional<Secret> shared_with(const PublicKey& other) const;

  private:
    Secret seed_;
    Secret exchange_;
    PublicKey public_key_;
    KeyId id_{};
    SigningKey signer_;
};

// A node's key beside its predecessor, so that certificates can change one by one.
struct NodeKeys {
    NodeKey current;
    std::optional<NodeKey> previous;

    // nullptr if neither has this id.
    const NodeKey* find(KeyId id) const {
        if (current.id() == id)
            return &current;
        return previous && previous->id() == id ? &*previous : nullptr;
    }
};

// The authorities that a node accepts: two at most, so that one can follow the other.
using Authorities = std::vector<VerifyKey>;
const VerifyKey* find(const Authorities& authorities, AuthorityId id);

std::string format_node_key(const NodeKey& key);
std::string format_authority(const VerifyKey& key);
// The lines of a node's key file: the current key, and perhaps its predecessor. Blank lines and
// those that begin with # are ignored. Returns what is wrong with it, without quoting it.
struct NodeKeyText {
    std::optional<NodeKeys> keys;
    unsigned line = 0; // of the mistake; 0: the text as a whole
    std::string_view mistake;
};
NodeKeyText parse_node_keys(std::string_view text);
std::optional<VerifyKey> parse_authority(std::string_view text);

} // namespace ubf::identity
