// The stamp in a SYN, and the terms for the programs that write and read it. C, for BPF and for
// C++. See docs/recognition.md.
#pragma once

#include <linux/types.h>

// A TCP option (RFC 9293, 3.1; RFC 6994 for kind and ExID). Multi-byte fields are in network order.
#define UBF_STAMP_KIND 254    // for experiments
#define UBF_STAMP_EXID 0x5542 // "UB"
#define UBF_STAMP_SIZE 16

struct ubf_stamp {
    __u8 kind;
    __u8 length;
    __u8 exid[2];
    __u8 format;  // UBF_STAMP_FORMAT
    __u8 key;     // the lowest byte of the key's id; of a pair's key: of the sender's
    __u8 time[2]; // the lowest bits of the seconds since 1970
    __u8 tag[8];
};

#define UBF_STAMP_FORMAT 1

// The message under the tag: source and destination, ports and sequence number, the whole time, the
// socket's uid, and the format in one byte more. An address is two numbers of 8 bytes, an IPv4
// address in its mapped form.
#define UBF_STAMP_WORDS 7
#define UBF_STAMP_REST ((__u64)(UBF_STAMP_WORDS * 8 + 1) << 56 | UBF_STAMP_FORMAT)

struct ubf_recognition_key {
    __u64 words[2];
    __u32 id;
    __u32 is_there;
};

#define UBF_RECOGNITION_EXEMPT 32   // ranges of users, at most
#define UBF_RECOGNITION_PEERS 16384 // ranges of addresses, of both sides together

struct ubf_recognition_uids {
    __u32 first;
    __u32 last;
};

#define UBF_EVIDENCE_MASK 0xffff0000U

enum ubf_recognition_side { UBF_SIDE_ETHERNET, UBF_SIDE_FABRIC, UBF_SIDES };

struct ubf_recognition_terms {
    __u64 clock; // nanoseconds from CLOCK_BOOTTIME to CLOCK_REALTIME
    // The end of these terms, unless ubfd is there to renew them: CLOCK_BOOTTIME, in nanoseconds.
    __u64 until;
    // The cluster's; the first signs. If certificates are required, it is one that no other node
    // has, for this node's connections with itself.
    struct ubf_recognition_key keys[2];
    __u32 clock_skew; // seconds
    // The upper half of a recognised packet's priority (skb->priority): a number that nobody else
    // knows. The lower half is a hash of the uid.
    __u32 evidence;
    __u32 recognises[UBF_SIDES]; // not 0: users are recognised on this side's interfaces
    __u32 generation;            // of the pairs and words that count
    __u32 exempt_count;
    struct ubf_recognition_uids exempt[UBF_RECOGNITION_EXEMPT];
};

// A key of the map of addresses whose nodes run ubfd (BPF_MAP_TYPE_LPM_TRIE): prefix counts the
// bits of side, too.
struct ubf_recognition_address {
    __u32 prefix;
    __u32 side;
    __u8 address[16]; // an IPv4 address in its mapped form
};

// Its value: the keys by which stamps of such a node count.
enum ubf_recognition_proof {
    UBF_PROOF_CLUSTER = 1, // the cluster's; once the node has proven its certificate, the pair's
    UBF_PROOF_PAIR,        // the pair's alone
};

// The keys that this node shares with another, in both directions, for the epochs that may be under
// way: each at the place of its number's lowest bit.
#define UBF_RECOGNITION_PAIRS 16384
#define UBF_EPOCH_BITS 22 // of a time in milliseconds; see lib/identity/pair.hpp

struct ubf_recognition_pair_key {
    __u64 words[2];
    __u64 epoch;
};

struct ubf_recognition_node {
    __u64 half[2]; // of its address, each as a number; an IPv4 address in its mapped form
};

struct ubf_recognition_pair {
    struct ubf_recognition_pair_key in[2];
    struct ubf_recognition_pair_key out[2];
    __u64 until; // the certificate is valid; seconds since 1970
    __u32 generation;
    __u8 in_id; // the lowest bytes of the ids of their senders' keys
    __u8 out_id;
    __u16 unused;
    struct ubf_recognition_node node; // the kernel may give an entry's room to another's meanwhile
};

// A node, and a user for whom its word has counted.
#define UBF_RECOGNITION_WORDS 32768

struct ubf_recognition_holder {
    struct ubf_recognition_node node;
    __u32 uid;
    __u32 unused;
};

struct ubf_recognition_word {
    __u64 until; // seconds since 1970
    __u32 generation;
    __u32 unused;
};

// The outcomes of SYNs. A SYN that is not recognised is judged as if there were no recognition.
enum ubf_recognition_count {
    UBF_COUNT_STAMPED,     // on the way out
    UBF_COUNT_RECOGNISED,  // on the way in, and all below
    UBF_COUNT_UNSTAMPED,   // without a stamp, or not as plain as such a SYN is
    UBF_COUNT_FOREIGN_KEY, // by a key that this node doesn't have
    UBF_COUNT_OTHER_TIME,  // too old, or from the future
    UBF_COUNT_UNFIT,       // another user's, or forged: the two look alike
    UBF_COUNT_UNVOUCHED,   // the node's word about this user has not counted yet
    UBF_COUNT_REPEATED,    // it came before
    UBF_COUNT_NO_LISTENER, // or none whose user is recognised
    UBF_COUNT_ASTRAY,      // recognised, and on its way to another user's socket: dropped
    UBF_COUNTS
};
