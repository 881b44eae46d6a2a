#include "identity/sealed_key.hpp"

#include "base/buffer.hpp"

#include <algorithm>
#include <array>
#include <sodium.h>

namespace ubf::identity {
namespace {

constexpr std::uint32_t magic = 0x55425301; // "UBS", version 1
constexpr std::uint32_t passes = crypto_pwhash_OPSLIMIT_MODERATE;
constexpr std::uint32_t memory_kib = crypto_pwhash_MEMLIMIT_MODERATE / 1024;
// A changed file must not take all memory or all day.
constexpr std::uint32_t most_passes = 16;
constexpr std::uint32_t most_kib = 1 << 20;
constexpr std::size_t box_size = key_size + crypto_secretbox_MACBYTES;

struct Fields {
    std::uint32_t passes = 0;
    std::uint32_t kib = 0;
    std::array<std::uint8_t, crypto_pwhash_SALTBYTES> salt{};
    std::array<std::uint8_t, crypto_secretbox_NONCEBYTES> nonce{};
    VerifyKey verify_key;
    std::array<std::uint8_t, box_size> box{};
};

static_assert(sealed_key_size ==
              12 + crypto_pwhash_SALTBYTES + crypto_secretbox_NONCEBYTES + key_size + box_size);

std::optional<Secret> stretch(std::string_view passphrase, const Fields& fields) {
    KeyBytes bytes{};
    const bool good =
        crypto_pwhash(bytes.data(), bytes.size(), passphrase.data(), passphrase.size(),
                      fields.salt.data(), fields.passes, std::size_t{fields.kib} * 1024,
                      crypto_pwhash_ALG_ARGON2ID13) == 0;
    const Secret key(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return good ? std::optional(key) : std::nullopt;
}

std::optional<Fields> parse(Bytes bytes) {
    Reader in(bytes);
    const auto begin = in.number<std::uint32_t>();
    Fields fields;
    fields.passes = in.number<std::uint32_t>();
    fields.kib = in.number<std::uint32_t>();
    std::ranges::copy(in.take(fields.salt.size()), fields.salt.begin());
    std::ranges::copy(in.take(fields.nonce.size()), fields.nonce.begin());
    std::ranges::copy(in.take(key_size), fields.verify_key.bytes.begin());
    std::ranges::copy(in.take(box_size), fields.box.begin());
    if (!in.at_end() || begin != magic || fields.passes == 0 || fields.passes > most_passes ||
        fields.kib < 8 || fields.kib > most_kib)
        return std::nullopt;
    return fields;
}

} // namespace

std::optional<std::vector<std::uint8_t>> seal_key(const Secret& seed, std::string_view passphrase) {
    Fields fields;
    fields.passes = passes;
    fields.kib = memory_kib;
    randombytes_buf(fields.salt.data(), fields.salt.size());
    randombytes_buf(fields.nonce.data(), fields.nonce.size());
    const auto key = stretch(passphrase, fields);
    if (!key)
        return std::nullopt;
    crypto_secretbox_easy(fields.box.data(), seed.bytes().data(), key_size, fields.nonce.data(),
                          key->bytes().data());
    std::vector<std::uint8_t> bytes(sealed_key_size);
    Writer out(bytes);
    out.number(magic);
    out.number(fields.passes);
    out.number(fields.kib);
    out.bytes(fields.salt);
    out.bytes(fields.nonce);
    out.bytes(SigningKey(seed).verify_key().bytes);
    out.bytes(fields.box);
    return bytes;
}

Result<SigningKey, Fault> open_key(Bytes bytes, std::string_view passphrase) {
    const auto fields = parse(bytes);
    if (!fields)
        return fail(Fault::malformed);
    const auto key = stretch(passphrase, *fields);
    KeyBytes seed{};
    if (!key || crypto_secretbox_open_easy(seed.data(), fields->box.data(), box_size,
                                           fields->nonce.data(), key->bytes().data()) != 0)
        return fail(Fault::forged);
    const SigningKey opened{Secret(seed)};
    sodium_memzero(seed.data(), seed.size());
    if (opened.verify_key() != fields->verify_key)
        return fail(Fault::forged);
    return opened;
}

Result<VerifyKey, Fault> verify_key_of(Bytes bytes) {
    const auto fields = parse(bytes);
    if (!fields)
        return fail(Fault::malformed);
    return fields->verify_key;
}

} // namespace ubf::identity
