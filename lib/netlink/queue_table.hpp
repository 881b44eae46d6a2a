// The kernel's table of its netfilter queues (net/netfilter/nfnetlink_queue.c, seq_show).
#pragma once

#include <cstdint>
#include <map>

namespace ubf {

struct KernelQueue {
    std::uint32_t port_id = 0;      // the netlink socket that has bound it; 0: none
    std::uint64_t waiting = 0;      // packets
    std::uint64_t full_drops = 0;   // the queue was full
    std::uint64_t socket_drops = 0; // the socket's buffer was
    std::uint32_t last_packet = 0;  // the newest id
};

// By number; those of the caller's network namespace.
std::map<unsigned, KernelQueue> kernel_queues();
// A queue that nobody has bound is all 0.
KernelQueue kernel_queue(unsigned number);

} // namespace ubf
