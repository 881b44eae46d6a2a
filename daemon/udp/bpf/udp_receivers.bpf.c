// The part of ubfd that keeps, in the kernel, the datagrams of an allowed UDP flow to the user it
// was allowed for. The ruleset knows flows, and not sockets: when one is closed, somebody else may
// have its port before ubfd hears of it, and where two share a port, either may get the next
// datagram. Here, where a socket is about to get one, it is known whose it is.
#include "udp_receivers.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <bpf/bpf_tracing.h>

enum {
    DATAGRAMS = 2, // SOCK_DGRAM, linux/net.h
    DROP = 0,
    PASS = 1,
};

struct udp_sock;

struct bpf_iter_meta;

struct bpf_iter__udp {
    __bpf_md_ptr(struct bpf_iter_meta*, meta);
    __bpf_md_ptr(struct udp_sock*, udp_sk);
};

// Whose flows go to this port. ubfd has it mapped, where each takes eight bytes. Where it is the receiver, as nearly always, there
// is nothing more to ask.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, UBF_RECEIVER_PORTS);
    __type(key, __u32);
    __type(value, __u64);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, UBF_RECEIVER_FLOWS);
    __type(key, struct ubf_udp_flow);
    __type(value, __u32); // whose
} flows SEC(".maps");

// Sockets of ubfd's own network namespace. In a container's the same flow may be another's.
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, __u8);
} ours SEC(".maps");

const volatile __u64 net_namespace = 0; // its cookie (SO_NETNS_COOKIE)

// A socket that can't be told from others' is not made: there is no memory.
SEC("cgroup/sock_create")
int on_socket(struct bpf_sock* socket) {
    if (socket->type != DATAGRAMS || socket->protocol != IPPROTO_UDP ||
        bpf_get_netns_cookie(socket) != net_namespace)
        return PASS;
    return bpf_sk_storage_get(&ours, socket, 0, BPF_SK_STORAGE_GET_F_CREATE) ? PASS : DROP;
}

// Of those that were there before. (It sees those of one namespace.)
SEC("iter/udp")
int on_each(struct bpf_iter__udp* context) {
    struct udp_sock* socket = context->udp_sk;
    if (socket)
        bpf_sk_storage_get(&ours, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
    return 0;
}

static __always_inline void set_v4(__u8 mapped[16], __be32 address) {
    mapped[10] = mapped[11] = 0xff;
    __builtin_memcpy(mapped + 12, &address, sizeof address);
}

// False where its ports are not where they are looked for.
static __always_inline bool read_flow(struct __sk_buff* skb, struct ubf_udp_flow* flow) {
    __u32 at;
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr ip;
        if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) != 0 || ip.protocol != IPPROTO_UDP)
            return false;
        set_v4(flow->source, ip.saddr);
        set_v4(flow->destination, ip.daddr);
        at = ip.ihl * 4u;
    } else {
        struct ipv6hdr ip;
        if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) != 0 || ip.nexthdr != IPPROTO_UDP)
            return false;
        __builtin_memcpy(flow->source, &ip.saddr, sizeof flow->source);
        __builtin_memcpy(flow->destination, &ip.daddr, sizeof flow->destination);
        at = sizeof ip;
    }
    return bpf_skb_load_bytes(skb, at, &flow->source_port, 2 * sizeof flow->source_port) == 0;
}

// For every packet of every socket: all but those of UDP, and nearly all of these, are done with at
// once.
SEC("cgroup_skb/ingress")
int on_packet(struct __sk_buff* skb) {
    struct bpf_sock* socket = skb->sk ? bpf_sk_fullsock(skb->sk) : 0;
    if (!socket || socket->protocol != IPPROTO_UDP)
        return PASS;
    const __u32 port = socket->src_port;
    const __u64* whose = bpf_map_lookup_elem(&ports, &port);
    if (!whose || *whose == UBF_RECEIVER_NOBODY)
        return PASS;
    const __u32 receiver = bpf_get_socket_uid(skb);
    if (*whose == receiver || !bpf_sk_storage_get(&ours, socket, 0, 0))
        return PASS;
    struct ubf_udp_flow flow = {};
    if (!read_flow(skb, &flow))
        return DROP;
    const __u32* allowed = bpf_map_lookup_elem(&flows, &flow);
    return !allowed || *allowed == receiver ? PASS : DROP;
}

// Sockets' storage may be had by programs under the GPL alone.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
