#include "daemon/recognition/bpf/siphash.h"

#include <array>
#include <gtest/gtest.h>
#include <vector>

namespace ubf {
namespace {

// The paper's key, 00 01 ... 0f, and its messages: the numbers from 0 on, of so many bytes.
constexpr __u64 key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

__u64 tag_of(unsigned length) {
    std::vector<__u64> words(length / 8);
    __u64 rest = __u64{length} << 56;
    for (unsigned i = 0; i < length; ++i) {
        auto& word = i / 8 < words.size() ? words[i / 8] : rest;
        word |= __u64{i} << i % 8 * 8;
    }
    return ubf_siphash_tag(key, words.data(), static_cast<unsigned>(words.size()), rest);
}

TEST(SipHash, gives_the_tags_of_the_paper) {
    EXPECT_EQ(tag_of(15), 0xa129ca6149be45e5U); // appendix A
    // Test vectors from the authors' program, which lists them byte by byte.
    EXPECT_EQ(tag_of(0), 0x726fdb47dd0e0e31U);
    EXPECT_EQ(tag_of(1), 0x74f839c593dc67fdU);
    EXPECT_EQ(tag_of(8), 0x93f5f5799a932462U);
    EXPECT_EQ(tag_of(63), 0x958a324ceb064572U);
}

} // namespace
} // namespace ubf
