// The kernel's messages on a queue's socket (linux/netfilter/nfnetlink_queue.h), apart from the
// socket.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

namespace ubf {

// A packet that waits for its verdict.
struct PacketMessage {
    std::uint32_t id;
    std::uint32_t mark;
    std::uint32_t interface; // where it came in; 0: not said
    // Its entry in connection tracking (CTA_*), where it has one; part of the message.
    std::span<const std::uint8_t> tracked;
    std::span<const std::uint8_t> bytes; // from the network header on; part of the message
};

// The outcome of a request of ours.
struct ErrorMessage {
    int error; // an errno; 0: an acknowledgement
};

using QueueMessage = std::variant<PacketMessage, ErrorMessage>;

// All messages of one datagram that can be read, put into `messages`; the others are left out. The
// packets point into the datagram.
void parse_queue_messages(std::span<const std::uint8_t> datagram,
                          std::vector<QueueMessage>& messages);

} // namespace ubf
