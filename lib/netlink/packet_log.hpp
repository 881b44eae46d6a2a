// Packets that a rule of nftables logs to a group (linux/netfilter/nfnetlink_log.h): copies of
// them, with whose they are. The packets themselves go on without waiting.
#pragma once

#include "base/types.hpp"
#include "netlink/batch.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace ubf {

struct LoggedPacket {
    // Of the socket's creator; nothing for what comes from no program's socket.
    std::optional<Uid> uid;
    std::uint32_t interface = 0;         // where it goes out, or 0
    std::span<const std::uint8_t> bytes; // from the network header, the first of them; valid during
                                         // the call
};

// What a datagram of the kernel holds.
void parse_log_messages(std::span<const std::uint8_t> datagram,
                        const std::function<void(const LoggedPacket&)>& each);

class PacketLog {
  public:
    // Takes CAP_NET_ADMIN; reading doesn't. Throws std::system_error.
    explicit PacketLog(std::uint16_t group);

    int fd() const { return socket_.fd(); }
    // Calls `each` for what waits, a bounded number of packets. Whether there were any. What found
    // no room is lost: the kernel keeps no packet waiting for its copy.
    bool receive(const std::function<void(const LoggedPacket&)>& each);

  private:
    NetlinkSocket socket_;
    netlink::Batch<32, 1024> batch_;
};

} // namespace ubf
