// Netlink: queued packets with their contents, answers about sockets and interfaces, and the tables
// of RDMA.
#include "daemon/gate/queue_message.hpp"
#include "flow/packet.hpp"
#include "fuzzer.hpp"
#include "netlink/link.hpp"
#include "netlink/rdma.hpp"
#include "netlink/sock_diag.hpp"
#include "netlink/tcp_connections.hpp"
#include "nft/change_notices.hpp"

#include <cstring>
#include <memory>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Aligned like the kernel's messages.
    const auto aligned = std::make_unique<std::uint32_t[]>(size / 4 + 1);
    if (size > 0)
        std::memcpy(aligned.get(), data, size);
    const std::span<const std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(aligned.get()), size);
    std::vector<ubf::QueueMessage> messages;
    ubf::parse_queue_messages(bytes, messages);
    for (const auto& message : messages)
        if (const auto* packet = std::get_if<ubf::PacketMessage>(&message))
            static_cast<void>(ubf::parse_packet(packet->bytes));
    static_cast<void>(ubf::parse_socket(bytes, 1));
    static_cast<void>(ubf::parse_connection(bytes, 1));
    static_cast<void>(ubf::nft::tells_of_change(bytes, 1));
    static_cast<void>(ubf::parse_link(bytes, 1));
    static_cast<void>(ubf::rdma::parse_devices(bytes, 1));
    static_cast<void>(ubf::rdma::parse_cm_ids(bytes, 1));
    static_cast<void>(ubf::rdma::parse_queue_pairs(bytes, 1));
    return 0;
}
