// The addresses that users send UDP under, as ubfd and its programs in the kernel tell each other.
// C, for BPF and for C++. IPv4 addresses are in their mapped form; all is in network order.
#pragma once

#include <linux/types.h>

#define UBF_SENDERS_PEERS 65536
#define UBF_SENDERS_PORTS 65536   // all of UDP
#define UBF_SENDERS_REPORTS 65536 // bytes of the ring

// ubfd judges datagrams of these peers, and to these ports.
#define UBF_SENDERS_ETHERNET 1
#define UBF_SENDERS_FABRIC 2
#define UBF_SENDERS_V4 4 // the peers' prefix is of IPv4

// A key of BPF_MAP_TYPE_LPM_TRIE.
struct ubf_peers {
    __u32 length; // of the prefix; in this machine's order
    __u8 address[16];
};

// A datagram that was refused. The user is in this machine's order.
struct ubf_refused_datagram {
    __u8 source[16]; // all zero: the kernel would have chosen it
    __u8 destination[16];
    __u16 source_port;
    __u16 destination_port;
    __u32 user;
};
