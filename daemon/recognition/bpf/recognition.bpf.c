// The part of ubfd that recognises, in the kernel, connections between two programs of one user.
// A program's SYN to a peer's address gets a stamp: a tag over the flow and the user. Only a node
// with the cluster's key can make it, or one of the pair with the pair's key. When a SYN comes in,
// the tag is made again with the listener's user. If both are the same, the packet gets a number
// that the ruleset knows (chain gate), and is let in at once. A packet that is not recognised is
// judged as ever. A recognised packet reaches no socket but that user's, even if it is rewritten or
// redirected on its way.
#include "recognition.h"
#include "pairs.h"
#include "siphash.h"
#include "syn.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>

#include "../../core/bpf/kernel_types.h"

#define MOST_SEEN 65536

enum {
    INET = 2,      // AF_INET, linux/socket.h
    VLAN = 0x0fff, // the number, 0 being none (IEEE 802.1Q)
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct ubf_recognition_terms);
} terms SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, UBF_RECOGNITION_PEERS);
    __type(key, struct ubf_recognition_address);
    __type(value, __u32);
} peers SEC(".maps");

// Tags that matched: each is good for one packet, against replays.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MOST_SEEN);
    __type(key, __u64);
    __type(value, __u8);
} seen SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, UBF_COUNTS);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

// The network namespace in which ubfd runs: the inode of its /proc/self/ns/net.
const volatile __u32 net_namespace = 0;

static __always_inline void count(__u32 which) {
    __u64* number = bpf_map_lookup_elem(&counts, &which);
    if (number)
        ++*number;
}

// The terms that hold; none, if ubfd doesn't run.
static __always_inline const struct ubf_recognition_terms* find_terms(void) {
    const __u32 first = 0;
    const struct ubf_recognition_terms* agreed = bpf_map_lookup_elem(&terms, &first);
    return agreed && bpf_ktime_get_boot_ns() < agreed->until ? agreed : 0;
}

static __always_inline __u64 seconds_now(const struct ubf_recognition_terms* agreed) {
    return (bpf_ktime_get_boot_ns() + agreed->clock) / 1000000000;
}

// The proof that the peer at this address takes (ubf_recognition_proof); 0: no peer is there.
static __always_inline __u32 proof_of(__u32 side, const __u64 half[2]) {
    struct ubf_recognition_address place = {.prefix = 32 + 128, .side = side};
    const __u64 first = bpf_cpu_to_be64(half[0]), second = bpf_cpu_to_be64(half[1]);
    __builtin_memcpy(place.address, &first, sizeof first);
    __builtin_memcpy(place.address + sizeof first, &second, sizeof second);
    const __u32* proof = bpf_map_lookup_elem(&peers, &place);
    return proof ? *proof : 0;
}

// Root and exempt users have rights of their own, so their connections are asked about.
static __always_inline bool is_plain_user(const struct ubf_recognition_terms* agreed, __u32 uid) {
    if (uid == 0)
        return false;
    for (unsigned i = 0; i < UBF_RECOGNITION_EXEMPT && i < agreed->exempt_count; ++i)
        if (uid >= agreed->exempt[i].first && uid <= agreed->exempt[i].last)
            return false;
    return true;
}

// A hash of the uid, for the lower half of a recognised packet's priority.
static __always_inline __u32 sign_of(const struct ubf_recognition_terms* agreed, __u32 uid) {
    const __u64 key[2] = {agreed->keys[0].words[0], agreed->keys[0].words[1]};
    const __u64 words[1] = {uid};
    return (__u32)ubf_siphash_tag(key, words, 1, 8ULL << 56) & ~UBF_EVIDENCE_MASK;
}

static __always_inline __u64 make_tag(const __u64 key[2], const struct flow* flow, __u64 seconds,
                                      __u32 uid) {
    const __u64 words[UBF_STAMP_WORDS] = {flow->source[0],
                                          flow->source[1],
                                          flow->destination[0],
                                          flow->destination[1],
                                          flow->ports_and_sequence,
                                          seconds,
                                          uid};
    return ubf_siphash_tag(key, words, UBF_STAMP_WORDS, UBF_STAMP_REST);
}

// --- on the way out ---

static __always_inline const struct sock* full_socket(struct bpf_sock* socket) {
    return socket ? (const struct sock*)bpf_skc_to_tcp_sock(socket) : 0;
}

// (Volatile, as the kernel lets no two of these words be read at once.)
static __always_inline void addresses_of(const volatile struct bpf_sock_ops* ops,
                                         struct flow* flow) {
    if (ops->family == INET) {
        set_v4(flow->source, ops->local_ip4);
        set_v4(flow->destination, ops->remote_ip4);
    } else {
        set_v6(flow->source, ops->local_ip6[0], ops->local_ip6[1], ops->local_ip6[2],
               ops->local_ip6[3]);
        set_v6(flow->destination, ops->remote_ip6[0], ops->remote_ip6[1], ops->remote_ip6[2],
               ops->remote_ip6[3]);
    }
}

static __always_inline bool is_ours(const struct sock* socket) {
    return socket && BPF_CORE_READ(socket, __sk_common.skc_net.net, ns.inum) == net_namespace;
}

struct signer {
    __u64 key[2];
    __u8 id;
};

// The key for SYNs to this address: the pair's, once the node there has proven its certificate.
static __always_inline bool find_signer(const struct ubf_recognition_terms* agreed,
                                        const struct flow* flow, __u64 now, struct signer* signer) {
    __u32 proof = proof_of(UBF_SIDE_ETHERNET, flow->destination);
    if (!proof)
        proof = proof_of(UBF_SIDE_FABRIC, flow->destination);
    if (!proof)
        return false;
    const struct ubf_recognition_pair* pair = find_pair(flow->destination);
    if (pair) {
        signer->id = pair->out_id;
        return holds(agreed, pair->generation, pair->until, now) &&
               copy_key(pair->out, now, signer->key) && is_of(pair, flow->destination);
    }
    signer->id = (__u8)agreed->keys[0].id;
    signer->key[0] = agreed->keys[0].words[0];
    signer->key[1] = agreed->keys[0].words[1];
    return proof == UBF_PROOF_CLUSTER && agreed->keys[0].is_there;
}

static __always_inline bool is_to_be_stamped(struct bpf_sock_ops* ops) {
    const struct sock* socket = full_socket(ops->sk);
    const struct ubf_recognition_terms* agreed = find_terms();
    if (!agreed || !is_ours(socket) || !is_plain_user(agreed, BPF_CORE_READ(socket, sk_uid.val)))
        return false;
    struct flow flow = {};
    struct signer signer = {};
    addresses_of(ops, &flow);
    return find_signer(agreed, &flow, seconds_now(agreed), &signer);
}

static __always_inline void write_stamp(struct bpf_sock_ops* ops) {
    const struct sock* socket = full_socket(ops->sk);
    const struct ubf_recognition_terms* agreed = find_terms();
    const struct tcphdr* header = ops->skb_data;
    if (!agreed || !is_ours(socket) || !is_plain_user(agreed, BPF_CORE_READ(socket, sk_uid.val)) ||
        (const void*)(header + 1) > ops->skb_data_end)
        return;
    struct flow flow = {};
    addresses_of(ops, &flow);
    flow.ports_and_sequence = (__u64)bpf_ntohs(header->source) << 48 |
                              (__u64)bpf_ntohs(header->dest) << 32 | bpf_ntohl(header->seq);
    const __u64 now = seconds_now(agreed);
    struct signer signer = {};
    if (!find_signer(agreed, &flow, now, &signer))
        return;
    const __u64 tag =
        bpf_cpu_to_be64(make_tag(signer.key, &flow, now, BPF_CORE_READ(socket, sk_uid.val)));
    struct ubf_stamp stamp = {.kind = UBF_STAMP_KIND,
                              .length = UBF_STAMP_SIZE,
                              .exid = {UBF_STAMP_EXID >> 8, UBF_STAMP_EXID & 0xff},
                              .format = UBF_STAMP_FORMAT,
                              .key = signer.id,
                              .time = {(__u8)(now >> 8), (__u8)now}};
    __builtin_memcpy(stamp.tag, &tag, sizeof tag);
    if (bpf_store_hdr_opt(ops, &stamp, sizeof stamp, 0) == 0)
        count(UBF_COUNT_STAMPED);
}

// Only the first two SYNs of a connection get the stamp: if a middlebox drops packets with the
// option, the next retransmission goes without it.
static __always_inline bool writes_syn(const struct bpf_sock_ops* ops) {
    return (ops->skb_tcp_flags & (SYN | ACK)) == SYN && ops->total_retrans == 0;
}

// Called for all TCP sockets on the node, but only once for a socket that gets no stamp.
SEC("sockops")
int stamp(struct bpf_sock_ops* ops) {
    const int flags = ops->bpf_sock_ops_cb_flags;
    switch (ops->op) {
    case BPF_SOCK_OPS_TCP_CONNECT_CB:
        if (is_to_be_stamped(ops))
            bpf_sock_ops_cb_flags_set(ops, flags | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
        break;
    case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
        if (writes_syn(ops) && is_to_be_stamped(ops))
            bpf_reserve_hdr_opt(ops, UBF_STAMP_SIZE, 0); // if it does not fit, there is none
        break;
    case BPF_SOCK_OPS_WRITE_HDR_OPT_CB:
        if (writes_syn(ops))
            write_stamp(ops);
        break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
        if (flags & BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG && is_ours(full_socket(ops->sk)))
            bpf_sock_ops_cb_flags_set(ops, flags & ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
        break;
    }
    return 1;
}

// --- on the way in ---

// The time near `now` that has the stamp's bits.
static __always_inline __u64 whole_time(const struct ubf_stamp* stamp, __u64 now) {
    const __u16 bits = (__u16)(stamp->time[0] << 8 | stamp->time[1]);
    return now + (__s16)(bits - (__u16)now);
}

static __always_inline bool is_near(__u64 then, __u64 now, __u32 skew) {
    return then + skew >= now && then <= now + skew;
}

// The user of the listener that would get the packet; 0: there is none.
static __always_inline __u32 listener_user(struct __sk_buff* skb, struct packet* packet) {
    struct bpf_sock_tuple* tuple = &packet->tuple;
    struct bpf_sock* socket =
        packet->v4 ? bpf_skc_lookup_tcp(skb, tuple, sizeof tuple->ipv4, BPF_F_CURRENT_NETNS, 0)
                   : bpf_skc_lookup_tcp(skb, tuple, sizeof tuple->ipv6, BPF_F_CURRENT_NETNS, 0);
    if (!socket)
        return 0;
    __u32 uid = 0;
    const struct sock* full = socket->state == BPF_TCP_LISTEN ? full_socket(socket) : 0;
    if (full)
        uid = BPF_CORE_READ(full, sk_uid.val);
    bpf_sk_release(socket);
    return uid;
}

// (The ids of both may end in the same byte.)
static __always_inline bool has_key(const struct ubf_recognition_terms* agreed, unsigned which,
                                    __u8 id) {
    return agreed->keys[which].is_there && (__u8)agreed->keys[which].id == id;
}

static __always_inline bool is_tag(const struct ubf_recognition_terms* agreed, unsigned which,
                                   const struct ubf_stamp* stamp, const struct flow* flow,
                                   __u64 seconds, __u32 uid, __u64 tag) {
    const __u64 key[2] = {agreed->keys[which].words[0], agreed->keys[which].words[1]};
    return has_key(agreed, which, stamp->key) && make_tag(key, flow, seconds, uid) == tag;
}

// Whether the tag is by the cluster's key.
static __always_inline bool fits_cluster(const struct ubf_recognition_terms* agreed,
                                         const struct ubf_stamp* stamp, const struct flow* flow,
                                         __u64 seconds, __u32 uid, __u64 tag) {
    return is_tag(agreed, 0, stamp, flow, seconds, uid, tag) ||
           is_tag(agreed, 1, stamp, flow, seconds, uid, tag);
}

// Whether it is by the pair's, from the other node to this one.
static __always_inline bool fits_pair(const struct ubf_recognition_pair* pair,
                                      const struct flow* flow, __u64 seconds, __u32 uid,
                                      __u64 tag) {
    __u64 key[2];
    return copy_key(pair->in, seconds, key) && is_of(pair, flow->source) &&
           make_tag(key, flow, seconds, uid) == tag;
}

// Returns the counter to increment; for a recognised packet, `whose` is set to its user. A node
// that has proven its certificate is recognised by the pair's key alone, even if that has expired.
static __always_inline __u32 judge(struct __sk_buff* skb, struct packet* packet,
                                   const struct ubf_recognition_terms* agreed, __u32 side,
                                   __u32* whose) {
    struct ubf_stamp stamp;
    const struct flow* flow = &packet->flow;
    const __u32 proof = proof_of(side, flow->source);
    if (!proof || !read_stamp(skb, packet, &stamp))
        return UBF_COUNT_UNSTAMPED;
    const __u64 now = seconds_now(agreed);
    const struct ubf_recognition_pair* pair = find_pair(flow->source);
    const bool has_its_key =
        pair ? holds(agreed, pair->generation, pair->until, now) && pair->in_id == stamp.key
             : proof == UBF_PROOF_CLUSTER &&
                   (has_key(agreed, 0, stamp.key) || has_key(agreed, 1, stamp.key));
    if (!has_its_key)
        return UBF_COUNT_FOREIGN_KEY;
    const __u64 then = whole_time(&stamp, now);
    if (!is_near(then, now, agreed->clock_skew))
        return UBF_COUNT_OTHER_TIME;
    const __u32 uid = listener_user(skb, packet);
    if (!is_plain_user(agreed, uid))
        return UBF_COUNT_NO_LISTENER;
    __u64 tag;
    __builtin_memcpy(&tag, stamp.tag, sizeof tag);
    tag = bpf_be64_to_cpu(tag);
    if (pair ? !fits_pair(pair, flow, then, uid, tag)
             : !fits_cluster(agreed, &stamp, flow, then, uid, tag))
        return UBF_COUNT_UNFIT;
    if (pair && !is_vouched(agreed, flow->source, uid, now))
        return UBF_COUNT_UNVOUCHED;
    const __u8 once = 1;
    if (bpf_map_update_elem(&seen, &tag, &once, BPF_NOEXIST) != 0)
        return UBF_COUNT_REPEATED;
    *whose = uid;
    return UBF_COUNT_RECOGNISED;
}

static __always_inline int recognise(struct __sk_buff* skb, __u32 side) {
    const struct ubf_recognition_terms* agreed = find_terms();
    if (!agreed)
        return TC_ACT_UNSPEC;
    const __u32 evidence = agreed->evidence; // read first: other terms have another number
    if ((skb->priority & UBF_EVIDENCE_MASK) == evidence) // only the code below may set it
        skb->priority = 0;
    const bool in_vlan = skb->vlan_present && skb->vlan_tci & VLAN; // the VLAN's own gets it too
    if (!agreed->recognises[side] || in_vlan)
        return TC_ACT_UNSPEC;
    struct packet packet = {};
    const bool is_syn = skb->protocol == bpf_htons(ETH_P_IP)     ? read_v4(skb, &packet)
                        : skb->protocol == bpf_htons(ETH_P_IPV6) ? read_v6(skb, &packet)
                                                                 : false;
    if (!is_syn)
        return TC_ACT_UNSPEC;
    __u32 whose = 0;
    const __u32 result = judge(skb, &packet, agreed, side, &whose);
    count(result);
    if (result == UBF_COUNT_RECOGNISED)
        skb->priority = evidence | sign_of(agreed, whose);
    return TC_ACT_UNSPEC;
}

// At ingress; other programs at the same place run as well.

SEC("tc")
int recognise_ethernet(struct __sk_buff* skb) {
    return recognise(skb, UBF_SIDE_ETHERNET);
}

SEC("tc")
int recognise_fabric(struct __sk_buff* skb) {
    return recognise(skb, UBF_SIDE_FABRIC);
}

// --- at the socket ---

// Called for every packet of every socket; a packet that was not recognised leaves at once.
SEC("cgroup_skb/ingress")
int arrive(struct __sk_buff* skb) {
    const __u32 priority = skb->priority;
    if ((priority & UBF_EVIDENCE_MASK) == 0)
        return 1;
    const __u32 first = 0;
    const struct ubf_recognition_terms* agreed = bpf_map_lookup_elem(&terms, &first);
    if (!agreed || (priority & UBF_EVIDENCE_MASK) != agreed->evidence || !skb->sk ||
        !is_ours(full_socket(skb->sk)) || // in a container the number opens nothing
        (priority & ~UBF_EVIDENCE_MASK) == sign_of(agreed, bpf_get_socket_uid(skb)))
        return 1;
    count(UBF_COUNT_ASTRAY);
    return 0;
}

// Only programs under the GPL may read the kernel's memory.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
