// The part of ubfd that keeps users, in the kernel, from sending UDP under an address whose answers
// another socket gets. A program may choose the source of each datagram (IP_PKTINFO), and a socket
// that is bound to a multicast address sends under one of the node's. An answer from outside, or
// from an exempt port, would reach whoever has that address and port, as if he had asked. If ubfd
// judges the answers, it looks for other sockets of the port itself.
#include "udp_senders.h"

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
    REFUSE = 0, // EPERM
    SEND = 1,
    SHARES = 256,             // of reports, by user
    PAUSE_NS = 100 * 1000000, // between two reports of a share
};

const volatile __u64 net_namespace = 0; // ubfd's, by its cookie (SO_NETNS_COOKIE)

// ubfd writes these.
volatile __u8 observes = 0;
volatile __u8 judged_ports[UBF_SENDERS_PORTS] = {};

// ubfd reads this.
__u64 refused = 0; // datagrams

__u64 reported[SHARES] = {}; // when

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, UBF_SENDERS_PEERS);
    __type(key, struct ubf_peers);
    __type(value, __u8);
} peers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, UBF_SENDERS_REPORTS);
} reports SEC(".maps");

struct datagram {
    __u32 source[4]; // all zero: the route decides
    __u32 destination[4];
    __u32 bound[4]; // the socket's address; all zero: all
};

static __always_inline bool is_any(const __u32 address[4]) {
    return (address[0] | address[1] | address[2] | address[3]) == 0;
}

static __always_inline bool are_same(const __u32 one[4], const __u32 other[4]) {
    return ((one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) |
            (one[3] ^ other[3])) == 0;
}

static __always_inline bool is_multicast(const __u32 address[4]) {
    return (address[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000) ||
           (address[2] == bpf_htonl(0xffff) &&
            (address[3] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000));
}

static __always_inline void map_v4(__u32 mapped[4], __u32 address) {
    if (address != 0) {
        mapped[2] = bpf_htonl(0xffff);
        mapped[3] = address;
    }
}

// A peer may be reached over Ethernet or the fabric: it must be judged on both.
static __always_inline bool is_judged(const struct datagram* sent, __u16 port_of_it) {
    __u32 port = port_of_it;
    asm volatile("%0 &= 0xffff" : "+r"(port)); // older verifiers don't know how small it is
    struct ubf_peers peer = {.length = 128};
    __builtin_memcpy(peer.address, sent->destination, sizeof peer.address);
    const __u8* found = bpf_map_lookup_elem(&peers, &peer);
    const __u8 where = found ? *found & (UBF_SENDERS_ETHERNET | UBF_SENDERS_FABRIC) : 0;
    const bool is_v4 = sent->destination[2] == bpf_htonl(0xffff) &&
                       (sent->destination[0] | sent->destination[1]) == 0;
    return where && (judged_ports[port] & where) == where && (!is_v4 || (*found & UBF_SENDERS_V4));
}

// Root may send under any address, as the ruleset lets it. Another network namespace has addresses,
// and users, of its own.
static __always_inline bool is_watched(struct bpf_sock_addr* context, const struct datagram* sent) {
    return !observes && (__u32)bpf_get_current_uid_gid() != 0 &&
           bpf_get_netns_cookie(context) == net_namespace &&
           !is_judged(sent, bpf_ntohs((__u16)context->user_port));
}

static __always_inline void report(struct bpf_sock_addr* context, const struct datagram* sent) {
    const __u32 user = (__u32)bpf_get_current_uid_gid();
    const __u64 now = bpf_ktime_get_ns();
    __u64* last = &reported[user % SHARES];
    if (now - *last < PAUSE_NS)
        return;
    *last = now;
    struct ubf_refused_datagram* told = bpf_ringbuf_reserve(&reports, sizeof *told, 0);
    if (!told)
        return;
    __builtin_memcpy(told->source, sent->source, sizeof told->source);
    __builtin_memcpy(told->destination, sent->destination, sizeof told->destination);
    told->source_port = context->sk ? bpf_htons(context->sk->src_port) : 0;
    told->destination_port = (__u16)context->user_port;
    told->user = user;
    bpf_ringbuf_submit(told, 0);
}

static __always_inline int refuse(struct bpf_sock_addr* context, const struct datagram* sent) {
    __sync_fetch_and_add(&refused, 1);
    report(context, sent);
    return REFUSE;
}

// answer: its flow; size: of that. A socket bound to all addresses gets the answers, unless another
// one is bound to that address.
static __always_inline bool is_anothers(struct bpf_sock_addr* context,
                                        struct bpf_sock_tuple* answer, __u32 size) {
    struct bpf_sock* socket = bpf_sk_lookup_udp(context, answer, size, BPF_F_CURRENT_NETNS, 0);
    if (!socket) // ours, which is bound to an interface
        return false;
    const bool is_bound = size == sizeof answer->ipv4
                              ? socket->src_ip4 != 0
                              : (socket->src_ip6[0] | socket->src_ip6[1] | socket->src_ip6[2] |
                                 socket->src_ip6[3]) != 0;
    bpf_sk_release(socket);
    return is_bound;
}

static __always_inline int decide(struct bpf_sock_addr* context, const struct datagram* sent,
                                  struct bpf_sock_tuple* answer, __u32 size) {
    if (are_same(sent->source, sent->bound) || !is_watched(context, sent))
        return SEND;
    if (is_any(sent->source)) // bound to a multicast or broadcast address
        return is_multicast(sent->destination) ? SEND : refuse(context, sent);
    return !is_any(sent->bound) || is_anothers(context, answer, size) ? refuse(context, sent)
                                                                      : SEND;
}

// These are called for datagrams of sockets that are not connected, or that choose a source.
// Addresses and user_port are in network order.
SEC("cgroup/sendmsg4")
int on_v4(struct bpf_sock_addr* context) {
    const struct bpf_sock* socket = context->sk;
    if (!socket)
        return SEND;
    struct datagram sent = {};
    map_v4(sent.source, context->msg_src_ip4);
    map_v4(sent.destination, context->user_ip4);
    map_v4(sent.bound, socket->src_ip4);
    struct bpf_sock_tuple answer = {};
    answer.ipv4.saddr = context->user_ip4;
    answer.ipv4.daddr = context->msg_src_ip4;
    answer.ipv4.sport = (__u16)context->user_port;
    answer.ipv4.dport = bpf_htons(socket->src_port);
    return decide(context, &sent, &answer, sizeof answer.ipv4);
}

SEC("cgroup/sendmsg6")
int on_v6(struct bpf_sock_addr* context) {
    const struct bpf_sock* socket = context->sk;
    if (!socket)
        return SEND;
    const struct datagram sent = {
        {context->msg_src_ip6[0], context->msg_src_ip6[1], context->msg_src_ip6[2],
         context->msg_src_ip6[3]},
        {context->user_ip6[0], context->user_ip6[1], context->user_ip6[2], context->user_ip6[3]},
        {socket->src_ip6[0], socket->src_ip6[1], socket->src_ip6[2], socket->src_ip6[3]}};
    struct bpf_sock_tuple answer = {};
    for (int i = 0; i < 4; ++i) {
        answer.ipv6.saddr[i] = sent.destination[i];
        answer.ipv6.daddr[i] = sent.source[i];
    }
    answer.ipv6.sport = (__u16)context->user_port;
    answer.ipv6.dport = bpf_htons(socket->src_port);
    return decide(context, &sent, &answer, sizeof answer.ipv6);
}

// Only programs under the GPL may use a ring.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
