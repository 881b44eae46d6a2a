#include "identity/world.hpp"

#include "identity/pair.hpp"

#include <sodium.h>
#include <string_view>

namespace ubf::identity {
namespace {

using namespace test;

std::string hex(Bytes bytes) {
    std::string text(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.back() = '\n';
    return text;
}

Bytes octets(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

const NodeKey& one() {
    static const NodeKey key(seed(1));
    return key;
}
const NodeKey& two() {
    static const NodeKey key(seed(2));
    return key;
}

Secret key_at(const NodeKey& self, const NodeKey& from, const NodeKey& to,
              const char* purpose = purpose_ident, std::uint64_t epoch = 5) {
    const auto& other = &self == &from ? to : from;
    return pair_key(*self.shared_with(other.public_key()), from.public_key(), to.public_key(),
                    purpose, Epoch{epoch});
}

SealNonce counting() {
    SealNonce nonce{};
    for (std::size_t i = 0; i < nonce.size(); ++i)
        nonce[i] = static_cast<std::uint8_t>(i);
    return nonce;
}

constexpr std::string_view question = "who owns this socket?";
constexpr std::string_view ends = "the ends";

Octets sealed_with(const Secret& key) {
    Octets sealed(question.size() + tag_size);
    seal(sealed, octets(question), octets(ends), counting(), key);
    return sealed;
}

bool opens(Bytes sealed, const Secret& key, std::string_view beside = ends,
           const SealNonce& nonce = counting()) {
    Octets out(sealed.size() < tag_size ? 0 : sealed.size() - tag_size);
    return open(out, sealed, octets(beside), nonce, key) &&
           std::ranges::equal(out, octets(question));
}

TEST(Pairs, another_program_derives_the_same_key_and_seals_the_same_bytes) {
    const auto key = key_at(one(), one(), two());
    EXPECT_EQ(hex(key.bytes()), vector_file("pair"));
    EXPECT_EQ(hex(sealed_with(key)), vector_file("sealed"));
}

TEST(Pairs, both_nodes_have_the_same_key_without_a_handshake) {
    EXPECT_EQ(key_at(one(), one(), two()).bytes(), key_at(two(), one(), two()).bytes());
    EXPECT_TRUE(opens(sealed_with(key_at(one(), one(), two())), key_at(two(), one(), two())));
}

TEST(Pairs, nothing_opens_across_pairs_directions_purposes_and_epochs) {
    const auto sealed = sealed_with(key_at(one(), one(), two()));
    const NodeKey three(seed(3));
    EXPECT_FALSE(opens(sealed, key_at(two(), two(), one())));
    EXPECT_FALSE(opens(sealed, key_at(two(), one(), two(), purpose_stamp)));
    EXPECT_FALSE(opens(sealed, key_at(two(), one(), two(), purpose_ident, 6)));
    EXPECT_FALSE(opens(sealed, key_at(three, three, two())));
    EXPECT_FALSE(opens(sealed, key_at(three, one(), three)));
}

TEST(Pairs, no_bit_can_be_changed_neither_sealed_nor_beside) {
    const auto key = key_at(one(), one(), two());
    each_damage(sealed_with(key),
                [&](const Octets& damaged) { EXPECT_FALSE(opens(damaged, key)); });
    EXPECT_FALSE(opens(sealed_with(key), key, "the Ends"));
    auto nonce = counting();
    nonce[23] ^= 1;
    EXPECT_FALSE(opens(sealed_with(key), key, ends, nonce));
}

TEST(Pairs, a_failed_opening_leaves_nothing) {
    const auto sealed = sealed_with(key_at(one(), one(), two()));
    Octets out(question.size(), 0x55);
    EXPECT_FALSE(open(out, sealed, octets(ends), counting(), key_at(two(), two(), one())));
    EXPECT_EQ(out, Octets(question.size(), 0));
}

// RFC 7748, 6.1 asks for this check: such a "key" would give every pair the same secret.
TEST(Pairs, a_point_of_low_order_is_no_key) {
    EXPECT_FALSE(one().shared_with(PublicKey{}));
    PublicKey unity;
    unity.bytes[0] = 1;
    EXPECT_FALSE(one().shared_with(unity));
}

TEST(Pairs, an_epoch_lasts_seventy_minutes) {
    using std::chrono::milliseconds;
    const milliseconds begin(std::int64_t{417232} << 22);
    EXPECT_EQ(epoch_of(begin), epoch_of(begin + milliseconds((1 << 22) - 1)));
    EXPECT_NE(epoch_of(begin), epoch_of(begin + milliseconds(1 << 22)));
}

} // namespace
} // namespace ubf::identity
