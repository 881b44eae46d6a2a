#include "identity/pair.hpp"

#include "base/buffer.hpp"

#include <sodium.h>
#include <string_view>

namespace ubf::identity {
namespace {

constexpr std::size_t purpose_size = 8;
constexpr std::array<std::uint8_t, 16> context{'u', 'b', 'f', ' ', 'p', 'a', 'i', 'r', ' ', '1'};

static_assert(nonce_size == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(tag_size == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(key_size == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

} // namespace

Secret pair_key(const Secret& shared, const PublicKey& from, const PublicKey& to,
                const char* purpose, Epoch epoch) {
    std::array<std::uint8_t, context.size() + purpose_size + 2 * key_size + 8> input{};
    Writer out(input);
    out.bytes(context);
    out.bytes({reinterpret_cast<const std::uint8_t*>(purpose), purpose_size});
    out.bytes(from.bytes);
    out.bytes(to.bytes);
    out.number(static_cast<std::uint64_t>(epoch));
    KeyBytes bytes{};
    crypto_generichash(bytes.data(), bytes.size(), input.data(), input.size(),
                       shared.bytes().data(), shared.bytes().size());
    const Secret key(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return key;
}

void seal(std::span<std::uint8_t> out, Bytes text, Bytes beside, const SealNonce& nonce,
          const Secret& key) {
    crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, text.data(), text.size(),
                                               beside.data(), beside.size(), nullptr, nonce.data(),
                                               key.bytes().data());
}

bool open(std::span<std::uint8_t> out, Bytes sealed, Bytes beside, const SealNonce& nonce,
          const Secret& key) {
    if (sealed.size() < tag_size || out.size() < sealed.size() - tag_size)
        return false;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(),
                                                   sealed.size(), beside.data(), beside.size(),
                                                   nonce.data(), key.bytes().data()) == 0)
        return true;
    if (!out.empty())
        sodium_memzero(out.data(), out.size());
    return false;
}

} // namespace ubf::identity
