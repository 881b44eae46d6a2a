#include "netlink/queue_table.hpp"

#include <fstream>

namespace ubf {

// Number, port id, waiting, copy mode, copy range, drops, drops at the socket, last id, 1.
std::map<unsigned, KernelQueue> kernel_queues() {
    std::map<unsigned, KernelQueue> queues;
    std::ifstream table("/proc/thread-self/net/netfilter/nfnetlink_queue");
    unsigned number = 0;
    std::uint64_t mode = 0;
    std::uint64_t range = 0;
    std::uint64_t one = 0;
    KernelQueue queue;
    while (table >> number >> queue.port_id >> queue.waiting >> mode >> range >> queue.full_drops >>
           queue.socket_drops >> queue.last_packet >> one)
        queues[number] = queue;
    return queues;
}

KernelQueue kernel_queue(unsigned number) {
    const auto queues = kernel_queues();
    const auto found = queues.find(number);
    return found == queues.end() ? KernelQueue{} : found->second;
}

} // namespace ubf
