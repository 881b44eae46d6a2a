// The users that get the datagrams of UDP flows, as ubfd tells its program in the kernel. C, for
// BPF and for C++.
#pragma once

#include <linux/types.h>

#define UBF_RECEIVER_FLOWS 65536
#define UBF_RECEIVER_PORTS 65536 // all of UDP

// In place of a port's user: it has no allowed flow, or flows of several users.
#define UBF_RECEIVER_NOBODY (1ULL << 32) // no uid is as large
#define UBF_RECEIVER_SEVERAL (2ULL << 32)

// As its packets have it, an IPv4 address in its mapped form; all in network order.
struct ubf_udp_flow {
    __u8 source[16];
    __u8 destination[16];
    __u16 source_port;
    __u16 destination_port;
};
