// SipHash-2-4 (Aumasson and Bernstein, 2012): a tag of 64 bits over a short message, by a key of
// 128. C, for BPF and for C++, without memory of its own. The message is whole words: a number of
// this API is eight bytes of the paper's message, the lowest first.
#pragma once

#include <linux/types.h>

struct ubf_siphash {
    __u64 v0;
    __u64 v1;
    __u64 v2;
    __u64 v3;
};

static inline __attribute__((always_inline)) __u64 ubf_rotate(__u64 word, unsigned bits) {
    return word << bits | word >> (64 - bits);
}

static inline __attribute__((always_inline)) void ubf_siphash_round(struct ubf_siphash* s) {
    s->v0 += s->v1;
    s->v1 = ubf_rotate(s->v1, 13) ^ s->v0;
    s->v0 = ubf_rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = ubf_rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = ubf_rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = ubf_rotate(s->v1, 17) ^ s->v2;
    s->v2 = ubf_rotate(s->v2, 32);
}

static inline __attribute__((always_inline)) void ubf_siphash_word(struct ubf_siphash* s,
                                                                   __u64 word) {
    s->v3 ^= word;
    ubf_siphash_round(s);
    ubf_siphash_round(s);
    s->v0 ^= word;
}

// rest: the bytes behind the last whole word, and the message's length in the highest byte.
static inline __attribute__((always_inline)) __u64
ubf_siphash_tag(const __u64 key[2], const __u64* words, unsigned count, __u64 rest) {
    struct ubf_siphash s = {key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
                            key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL};
    for (unsigned i = 0; i < count; ++i)
        ubf_siphash_word(&s, words[i]);
    ubf_siphash_word(&s, rest);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; ++i)
        ubf_siphash_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
