// Reads a SYN, and the stamp in it, from a packet at a hook of tc.
#pragma once

#include "recognition.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
    TCP_HEADER = 20,
    MOST_OPTIONS = 40,
    SYN = 0x02, // RFC 9293, 3.1; RFC 3168, 6.1
    ACK = 0x10,
    ECN = 0xc0,
};

// The flow, as the tag covers it.
struct flow {
    __u64 source[2];
    __u64 destination[2];
    __u64 ports_and_sequence;
};

// The two halves of an address, each as a number.
static __always_inline void set_v4(__u64 half[2], __be32 address) {
    half[0] = 0;
    half[1] = 0x0000ffff00000000ULL | bpf_ntohl(address);
}

static __always_inline void set_v6(__u64 half[2], __be32 a, __be32 b, __be32 c, __be32 d) {
    half[0] = (__u64)bpf_ntohl(a) << 32 | bpf_ntohl(b);
    half[1] = (__u64)bpf_ntohl(c) << 32 | bpf_ntohl(d);
}

struct packet {
    struct flow flow;
    struct bpf_sock_tuple tuple;
    bool v4;
    __u32 options_at; // from the network header
    __u32 options_size;
};

// False unless the packet is a SYN with headers alone.
static __always_inline bool read_tcp(struct __sk_buff* skb, __u32 at, __u32 size,
                                     struct tcphdr* header, struct packet* packet) {
    if (bpf_skb_load_bytes_relative(skb, at, header, sizeof *header, BPF_HDR_START_NET) != 0)
        return false;
    const __u8 flags = ((const __u8*)header)[13];
    const __u32 length = header->doff * 4u;
    if ((flags & ~ECN) != SYN || length < TCP_HEADER || length != size)
        return false;
    packet->options_at = at + TCP_HEADER;
    packet->options_size = length - TCP_HEADER;
    packet->flow.ports_and_sequence = (__u64)bpf_ntohs(header->source) << 48 |
                                      (__u64)bpf_ntohs(header->dest) << 32 | bpf_ntohl(header->seq);
    return true;
}

static __always_inline bool read_v4(struct __sk_buff* skb, struct packet* packet) {
    struct iphdr ip;
    struct tcphdr tcp;
    if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof ip, BPF_HDR_START_NET) != 0)
        return false;
    const __u32 size = bpf_ntohs(ip.tot_len);
    if (ip.protocol != IPPROTO_TCP || ip.ihl != 5 || ip.frag_off & bpf_htons(0x3fff) ||
        size < sizeof ip || !read_tcp(skb, sizeof ip, size - sizeof ip, &tcp, packet))
        return false;
    set_v4(packet->flow.source, ip.saddr);
    set_v4(packet->flow.destination, ip.daddr);
    packet->tuple.ipv4.saddr = ip.saddr;
    packet->tuple.ipv4.daddr = ip.daddr;
    packet->tuple.ipv4.sport = tcp.source;
    packet->tuple.ipv4.dport = tcp.dest;
    packet->v4 = true;
    return true;
}

static __always_inline bool read_v6(struct __sk_buff* skb, struct packet* packet) {
    struct ipv6hdr ip;
    struct tcphdr tcp;
    if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof ip, BPF_HDR_START_NET) != 0 ||
        ip.nexthdr != IPPROTO_TCP ||
        !read_tcp(skb, sizeof ip, bpf_ntohs(ip.payload_len), &tcp, packet))
        return false;
    const __be32* from = ip.saddr.in6_u.u6_addr32;
    const __be32* to = ip.daddr.in6_u.u6_addr32;
    set_v6(packet->flow.source, from[0], from[1], from[2], from[3]);
    set_v6(packet->flow.destination, to[0], to[1], to[2], to[3]);
    __builtin_memcpy(packet->tuple.ipv6.saddr, from, 16);
    __builtin_memcpy(packet->tuple.ipv6.daddr, to, 16);
    packet->tuple.ipv6.sport = tcp.source;
    packet->tuple.ipv6.dport = tcp.dest;
    packet->v4 = false;
    return true;
}

// (The mask and the barrier show the kernel's verifier that the index is within bounds.)
static __always_inline __u8 option_byte(const __u8* options, __u32 at) {
    asm volatile("" : "+r"(at));
    return options[at & 31];
}

static __always_inline bool begins(const __u8* options, __u32 at, __u8 kind, __u8 next) {
    return option_byte(options, at) == kind && option_byte(options, at + 1) == next;
}

// The length of the options before the stamp, if they are those of a plain socket. Linux's order is
// segment size; selective acknowledgements and times, or one of both; window scale. See RFC 9293,
// 2018 and 7323, and tcp_options_write(), net/ipv4/tcp_output.c.
static __always_inline __u32 plain_length(const __u8* options) {
    __u32 at = 0;
    if (begins(options, at, 2, 4))
        at += 4;
    if ((begins(options, at, 4, 2) || begins(options, at, 1, 1)) && begins(options, at + 2, 8, 10))
        at += 12;
    else if (begins(options, at, 1, 1) && begins(options, at + 2, 4, 2))
        at += 4;
    if (begins(options, at, 1, 3) && option_byte(options, at + 2) == 3)
        at += 4;
    return at;
}

// False if there is no stamp, more than one, or an option that plain sockets don't send.
static __always_inline bool read_stamp(struct __sk_buff* skb, const struct packet* packet,
                                       struct ubf_stamp* stamp) {
    const __u32 at = packet->options_at;
    const __u32 size = packet->options_size;
    __u8 options[MOST_OPTIONS] = {};
    if (size < UBF_STAMP_SIZE || size > MOST_OPTIONS ||
        bpf_skb_load_bytes_relative(skb, at, options, size, BPF_HDR_START_NET) != 0 ||
        plain_length(options) != size - UBF_STAMP_SIZE ||
        bpf_skb_load_bytes_relative(skb, at + size - UBF_STAMP_SIZE, stamp, sizeof *stamp,
                                    BPF_HDR_START_NET) != 0)
        return false;
    return stamp->kind == UBF_STAMP_KIND && stamp->length == UBF_STAMP_SIZE &&
           stamp->exid[0] == UBF_STAMP_EXID >> 8 && stamp->exid[1] == (UBF_STAMP_EXID & 0xff) &&
           stamp->format == UBF_STAMP_FORMAT;
}
