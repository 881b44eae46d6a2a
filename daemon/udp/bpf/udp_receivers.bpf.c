// The part of ubfd that keeps, in the kernel, the datagrams of an allowed UDP flow to the user it
// was allowed for. The ruleset knows flows, but not sockets. When a socket is closed, another user
// may have its port before ubfd hears of it. If two users share a port, either may get the next
// datagram. This program sees the very socket that is about to get a datagram.
#include "udp_receivers.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
    DATAGRAMS = 2, // SOCK_DGRAM, linux/net.h
    MOST_HEADERS = 8,
    DROP = 0,
    PASS = 1,
};

// The user whose flows go to a port. If the receiver is that user, as nearly always, the flow need
// not be looked up. ubfd has this map mapped, where each value takes eight bytes.
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

// Sockets of other network namespaces: in a container's, the same flow may be another user's.
// Sockets that are older than this program count as ours.
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, __u8);
} foreign SEC(".maps");

const volatile __u64 net_namespace = 0; // ubfd's, by its cookie (SO_NETNS_COOKIE)

SEC("cgroup/sock_create")
int on_socket(struct bpf_sock* socket) {
    if (socket->type == DATAGRAMS && socket->protocol == IPPROTO_UDP &&
        bpf_get_netns_cookie(socket) != net_namespace)
        bpf_sk_storage_get(&foreign, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
    return PASS;
}

static __always_inline void set_v4(__u8 mapped[16], __be32 address) {
    mapped[10] = mapped[11] = 0xff;
    __builtin_memcpy(mapped + 12, &address, sizeof address);
}

// Finds the ports, behind the headers that UDP may have before it over IPv6 (RFC 8200, 4).
static __always_inline bool skip_headers(struct __sk_buff* skb, __u8 next, __u32* at) {
    for (int i = 0; i < MOST_HEADERS && next != IPPROTO_UDP; ++i) {
        __u8 header[2];
        if ((next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) ||
            bpf_skb_load_bytes(skb, *at, header, sizeof header) != 0)
            return false;
        next = header[0];
        *at += (header[1] + 1u) * 8;
    }
    return next == IPPROTO_UDP;
}

// False if the ports are not found.
static __always_inline bool read_flow(struct __sk_buff* skb, struct ubf_udp_flow* flow) {
    __u32 at;
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr ip;
        if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) != 0)
            return false;
        set_v4(flow->source, ip.saddr);
        set_v4(flow->destination, ip.daddr);
        at = ip.ihl * 4u;
    } else {
        struct ipv6hdr ip;
        at = sizeof ip;
        if (bpf_skb_load_bytes(skb, 0, &ip, sizeof ip) != 0 || !skip_headers(skb, ip.nexthdr, &at))
            return false;
        __builtin_memcpy(flow->source, &ip.saddr, sizeof flow->source);
        __builtin_memcpy(flow->destination, &ip.daddr, sizeof flow->destination);
    }
    return bpf_skb_load_bytes(skb, at, &flow->source_port, 2 * sizeof flow->source_port) == 0;
}

// Called for every packet of every socket. All but UDP's, and nearly all of UDP's, pass at once.
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
    if (*whose == receiver || bpf_sk_storage_get(&foreign, socket, 0, 0))
        return PASS;
    struct ubf_udp_flow flow = {};
    if (!read_flow(skb, &flow))
        return DROP;
    const __u32* allowed = bpf_map_lookup_elem(&flows, &flow);
    return !allowed || *allowed == receiver ? PASS : DROP;
}

// Only programs under the GPL may use sockets' storage.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
