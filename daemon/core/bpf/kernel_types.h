// The members of the kernel's types that more than one of ubfd's programs in the kernel reads. The
// running kernel tells their offsets (BTF). For BPF alone.
#pragma once

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    __u32 val;
} kuid_t;

struct ns_common {
    unsigned inum;
};

struct net {
    struct ns_common ns;
};

typedef struct {
    struct net* net;
} possible_net_t;

struct sock_common {
    __u16 skc_family;
    __u16 skc_num;
    volatile unsigned char skc_state;
    unsigned char skc_reuseport : 1;
    possible_net_t skc_net;
};

struct sock {
    struct sock_common __sk_common;
    kuid_t sk_uid;
    __u16 sk_protocol;
    __u8 sk_kern_sock : 1;
};

#pragma clang attribute pop
