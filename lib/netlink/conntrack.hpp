// Finding and forgetting flows in the kernel's connection tracking
// (linux/netfilter/nfnetlink_conntrack.h).
#pragma once

#include "base/result.hpp"
#include "flow/flow.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ubf {

// An entry.
struct TrackedConnection {
    Flow original{}; // of its first packet, untranslated
    // As its answers come. Where the node translates addresses (NAT), that is not the original's
    // reverse.
    Flow reply{};
    bool replied = false;    // a packet came the other way
    bool translated = false; // by NAT

    // Of the packets that go as the first one did, once they are translated.
    Flow behind() const { return reply.reversed(); }
};

// The attributes of an entry (CTA_*), as they come with a queued packet (NFQA_CT). Nothing where
// they don't tell of one that is translated.
std::optional<TrackedConnection> parse_translated(std::span<const std::uint8_t> attributes);

// The kernel's message about an entry, in answer to a request of that number. The error is an
// errno: ENOMSG when it answers another request, EBADMSG when it doesn't fit the format, or what
// the kernel said.
Result<TrackedConnection, int> parse_tracked(std::span<const std::uint8_t> message,
                                             std::uint32_t sequence);

// All functions return 0 or an errno where not said otherwise, and need CAP_NET_ADMIN.
class Conntrack {
  public:
    // Throws std::system_error.
    Conntrack();

    // ENOENT when the kernel tracks no such flow, in either direction.
    int find(const Flow& flow);
    // The entry that this flow belongs to, in either direction, as it is before or behind a
    // translation. The error is an errno.
    Result<TrackedConnection, int> get(const Flow& flow);
    // Whether a packet of this flow, in this direction, has passed. The error is an errno.
    Result<bool, int> has_passed(const Flow& flow);
    // Deletes the entry that this flow belongs to; ENOENT when there is none.
    int forget(const Flow& flow);

  private:
    int send(std::uint16_t type, std::uint16_t flags, const Flow& flow);
    int ask(std::uint16_t type, const Flow& flow); // only the outcome is of interest

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
};

} // namespace ubf
