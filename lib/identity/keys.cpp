#include "identity/keys.hpp"

#include "base/key_line.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <sodium.h>

namespace ubf::identity {
namespace {

constexpr std::string_view node_tag = "ubf-node-1";
constexpr std::string_view authority_tag = "ubf-authority-1";

static_assert(key_size == crypto_scalarmult_BYTES);
static_assert(key_size == crypto_sign_SEEDBYTES);
static_assert(key_size == crypto_sign_PUBLICKEYBYTES);
static_assert(key_size == crypto_kdf_KEYBYTES);
static_assert(signature_size == crypto_sign_BYTES);

std::uint32_t short_hash(std::string_view purpose, const KeyBytes& key) {
    std::array<std::uint8_t, 16> hash{};
    crypto_generichash_state state;
    crypto_generichash_init(&state, nullptr, 0, hash.size());
    crypto_generichash_update(&state, reinterpret_cast<const std::uint8_t*>(purpose.data()),
                              purpose.size());
    crypto_generichash_update(&state, key.data(), key.size());
    crypto_generichash_final(&state, hash.data(), hash.size());
    return std::uint32_t{hash[0]} << 24 | std::uint32_t{hash[1]} << 16 |
           std::uint32_t{hash[2]} << 8 | hash[3];
}

Secret derive(const Secret& seed, std::uint64_t number) {
    KeyBytes bytes{};
    crypto_kdf_derive_from_key(bytes.data(), bytes.size(), number, "ubf node", seed.bytes().data());
    const Secret derived(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return derived;
}

} // namespace

KeyId id_of(const PublicKey& key) {
    return KeyId{short_hash("ubf node key id", key.bytes)};
}

AuthorityId id_of(const VerifyKey& key) {
    return AuthorityId{short_hash("ubf authority id", key.bytes)};
}

Secret Secret::random() {
    KeyBytes bytes{};
    randombytes_buf(bytes.data(), bytes.size());
    const Secret secret(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return secret;
}

Secret::~Secret() {
    sodium_memzero(bytes_.data(), bytes_.size());
}

SigningKey::SigningKey(const Secret& seed)
  : secret_{} {
    static_assert(crypto_sign_SECRETKEYBYTES == std::tuple_size_v<decltype(secret_)>);
    crypto_sign_seed_keypair(verify_key_.bytes.data(), secret_.data(), seed.bytes().data());
}

SigningKey::~SigningKey() {
    sodium_memzero(secret_.data(), secret_.size());
}

Signature SigningKey::sign(Bytes message) const {
    Signature signature{};
    crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret_.data());
    return signature;
}

bool is_signed_by(const VerifyKey& key, Bytes message, Bytes signature) {
    return signature.size() == signature_size &&
           crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                       key.bytes.data()) == 0;
}

NodeKey::NodeKey(const Secret& seed)
  : seed_(seed)
  , exchange_(derive(seed, 1))
  , signer_(derive(seed, 2)) {
    crypto_scalarmult_base(public_key_.bytes.data(), exchange_.bytes().data());
    id_ = id_of(public_key_);
}

std::optional<Secret> NodeKey::shared_with(const PublicKey& other) const {
    KeyBytes bytes{};
    const bool good =
        crypto_scalarmult(bytes.data(), exchange_.bytes().data(), other.bytes.data()) == 0;
    const Secret shared(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return good ? std::optional(shared) : std::nullopt;
}

const VerifyKey* find(const Authorities& authorities, AuthorityId id) {
    const auto found = std::ranges::find_if(
        authorities, [&](const VerifyKey& authority) { return id_of(authority) == id; });
    return found == authorities.end() ? nullptr : &*found;
}

std::string format_node_key(const NodeKey& key) {
    return format_key_line(node_tag, key.seed().bytes());
}

std::string format_authority(const VerifyKey& key) {
    return format_key_line(authority_tag, key.bytes);
}

NodeKeyText parse_node_keys(std::string_view text) {
    std::vector<NodeKey> keys;
    unsigned number = 0;
    while (!text.empty()) {
        const auto line = trim(split(text, '\n'));
        ++number;
        if (line.empty() || line.starts_with('#'))
            continue;
        auto bytes = parse_key_line(node_tag, line);
        if (!bytes)
            return {std::nullopt, number, "not a node's key"};
        if (keys.size() == 2)
            return {std::nullopt, number, "a third key; keep the newest and its predecessor"};
        keys.emplace_back(Secret(*bytes));
        sodium_memzero(bytes->data(), bytes->size());
    }
    if (keys.empty())
        return {std::nullopt, 0, "no key in it"};
    NodeKeys result{keys.front(), std::nullopt};
    if (keys.size() == 2)
        result.previous = keys.back();
    return {result, 0, {}};
}

std::optional<VerifyKey> parse_authority(std::string_view text) {
    const auto bytes = parse_key_line(authority_tag, text);
    return bytes ? std::optional(VerifyKey{*bytes}) : std::nullopt;
}

} // namespace ubf::identity
