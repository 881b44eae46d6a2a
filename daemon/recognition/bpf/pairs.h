// Facts about nodes with certificates, which ubfd has learnt: the keys of pairs, and the users for
// whom a node's word has counted. daemon/recognition/pair_keys.hpp fills both maps.
#pragma once

#include "recognition.h"

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

// By the node's address. Nodes that were not looked up for longest are evicted.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, UBF_RECOGNITION_PAIRS);
    __type(key, struct ubf_recognition_node);
    __type(value, struct ubf_recognition_pair);
} pairs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, UBF_RECOGNITION_WORDS);
    __type(key, struct ubf_recognition_holder);
    __type(value, struct ubf_recognition_word);
} words SEC(".maps");

// The keys of this node and the one at this address, which has proven its certificate; good or not.
static __always_inline const struct ubf_recognition_pair* find_pair(const __u64 half[2]) {
    const struct ubf_recognition_node node = {{half[0], half[1]}};
    return bpf_map_lookup_elem(&pairs, &node);
}

static __always_inline bool holds(const struct ubf_recognition_terms* agreed, __u32 generation,
                                  __u64 until, __u64 now) {
    return generation == agreed->generation && now < until;
}

// Copies the key of one direction. False if it is of another time.
static __always_inline bool copy_key(const struct ubf_recognition_pair_key keys[2], __u64 seconds,
                                     __u64 key[2]) {
    const __u64 epoch = seconds * 1000 >> UBF_EPOCH_BITS;
    const struct ubf_recognition_pair_key* current = epoch & 1 ? &keys[1] : &keys[0];
    key[0] = current->words[0];
    key[1] = current->words[1];
    return current->epoch == epoch;
}

// Whether the entry is still this node's, after it was read: the kernel may have given its room to
// another node's meanwhile.
static __always_inline bool is_of(const volatile struct ubf_recognition_pair* pair,
                                  const __u64 half[2]) {
    asm volatile("" ::: "memory");
    return pair->node.half[0] == half[0] && pair->node.half[1] == half[1];
}

// Whether the word of the node at this address about this user has counted, and still does.
static __always_inline bool is_vouched(const struct ubf_recognition_terms* agreed,
                                       const __u64 source[2], __u32 uid, __u64 now) {
    const struct ubf_recognition_holder holder = {.node = {{source[0], source[1]}}, .uid = uid};
    const struct ubf_recognition_word* word = bpf_map_lookup_elem(&words, &holder);
    return word && holds(agreed, word->generation, word->until, now);
}
