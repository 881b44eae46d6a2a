// Finds and deletes flows in the kernel's connection tracking
// (linux/netfilter/nfnetlink_conntrack.h).
#pragma once

#include "base/result.hpp"
#include "flow/flow.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace ubf {

// An entry of the table.
struct TrackedConnection {
    Flow original{}; // of its first packet, untranslated
    // The flow of its answers. If the node translates addresses (NAT), this is not the reverse of
    // `original`.
    Flow reply{};
    bool replied = false;    // a packet came the other way
    bool translated = false; // by NAT

    // The flow of packets in the original direction, after translation.
    Flow behind() const { return reply.reversed(); }
};

// Reads the attributes of an entry (CTA_*), as they come with a queued packet (NFQA_CT). Nothing if
// they don't describe a translated entry.
std::optional<TrackedConnection> parse_translated(std::span<const std::uint8_t> attributes);

// Reads the kernel's message about an entry, in answer to a request of that number. The error is an
// errno: ENOMSG for an answer to another request, EBADMSG for a malformed message, or the kernel's
// error.
Result<TrackedConnection, int> parse_tracked(std::span<const std::uint8_t> message,
                                             std::uint32_t sequence);

// All functions need CAP_NET_ADMIN and, unless noted otherwise, return 0 or an errno.
class Conntrack {
  public:
    // Throws std::system_error.
    Conntrack();

    // ENOENT when the kernel tracks no such flow, in either direction.
    int find(const Flow& flow);
    // The entry of this flow, in either direction, before or after translation. The error is an
    // errno.
    Result<TrackedConnection, int> get(const Flow& flow);
    // Whether a packet of this flow, in this direction, has passed. The error is an errno.
    Result<bool, int> has_passed(const Flow& flow);
    // Deletes the entry that this flow belongs to; ENOENT when there is none.
    int forget(const Flow& flow);
    // Calls `each` for every entry of UDP. The walk takes milliseconds in a large table.
    using Each = std::function<void(const TrackedConnection&)>;
    int each_of_udp(const Each& each);

  private:
    int send(std::uint16_t type, std::uint16_t flags, const Flow& flow);
    int ask(std::uint16_t type, const Flow& flow); // only the outcome is of interest
    int dump_udp(std::uint8_t family, const Each& each);

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace ubf
