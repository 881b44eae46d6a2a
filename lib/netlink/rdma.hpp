// What the RDMA subsystem knows of its connections: connection manager ids and queue pairs, as
// `rdma resource show` of iproute2 lists them (NETLINK_RDMA, RDMA_NL_NLDEV; rdma/rdma_netlink.h,
// drivers/infiniband/core/nldev.c). Without libibverbs, and without a device being opened.
#pragma once

#include "base/result.hpp"
#include "base/types.hpp"
#include "flow/address.hpp"
#include "netlink/message.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ubf::rdma {

// What stands behind an entry: the task that made it, which need not be the first of its process,
// or the kernel. Neither: the task has ended, and others go on with what it made.
struct Maker {
    std::optional<Pid> task; // as our pid namespace numbers it
    bool kernel = false;

    bool operator==(const Maker&) const = default;
};

// enum rdma_cm_state of rdma/rdma_cm.h, which is not for user space: in the order of its values.
enum class State : std::uint8_t {
    idle,
    address_query,
    address_resolved,
    route_query,
    route_resolved,
    connect, // from the request on: both ends are so while the connection is there
    disconnect,
    address_bound,
    listen,
    device_removal,
    destroying,
};

// A number is used again only when all others of its 2^32 were, so both together name one id.
struct CmKey {
    std::uint32_t device = 0;
    std::uint32_t number = 0;

    auto operator<=>(const CmKey&) const = default;
};

struct CmId {
    CmKey key;
    State state = State::idle;
    std::uint32_t port_space = 0; // RDMA_PS_TCP, ... of rdma/rdma_user_cm.h
    Endpoint source;              // of an id that listens everywhere the wildcard of its family
    bool v4 = true;               // the family, which a wildcard doesn't tell
    std::optional<Endpoint> destination;
    std::uint32_t interface = 0;  // of link-local addresses
    std::uint32_t queue_pair = 0; // 0: none yet
    Maker maker;
};

struct QueuePair {
    std::uint32_t device = 0;
    std::uint32_t number = 0;
    std::uint8_t type = 0;  // enum ib_qp_type: 2 RC, 3 UC, 4 UD, ...
    std::uint8_t state = 0; // enum ib_qp_state: 2 RTR, 3 RTS, ...
    Maker maker;

    bool has_other_end() const; // by its type
    bool is_connected() const;  // to it
};

// One datagram of a dump. Entries whose addresses are of another family than IP's are
// counted alone.
template<typename Entry>
struct Part {
    std::vector<Entry> entries;
    std::size_t skipped = 0;
    bool done = false;   // it was the last one
    bool broken = false; // it didn't fit the format, or the kernel gave up
};

// The answer to a dump of that number; messages of others are passed over.
Part<std::uint32_t> parse_devices(netlink::Bytes datagram, std::uint32_t sequence);
Part<CmId> parse_cm_ids(netlink::Bytes datagram, std::uint32_t sequence);
Part<QueuePair> parse_queue_pairs(netlink::Bytes datagram, std::uint32_t sequence);

template<typename Entry>
struct Table {
    std::vector<Entry> entries;
    std::size_t skipped = 0;
};

class Resources {
  public:
    // Nothing where this kernel has no RDMA subsystem. Needs no capability.
    static std::optional<Resources> open();

    // Of all devices that this network namespace may use. The error is an errno.
    Result<std::vector<std::uint32_t>, int> devices();
    Result<Table<CmId>, int> cm_ids(const std::vector<std::uint32_t>& devices);
    Result<Table<QueuePair>, int> queue_pairs(const std::vector<std::uint32_t>& devices);

  private:
    explicit Resources(NetlinkSocket socket)
      : socket_(std::move(socket)) {}
    template<typename Entry, typename Parse>
    int dump(unsigned command, std::optional<std::uint32_t> device, Parse parse,
             Table<Entry>& table);

    NetlinkSocket socket_;
    std::uint32_t sequence_ = 0;
    std::vector<std::uint32_t> buffer_; // aligned as netlink's headers must be
};

} // namespace ubf::rdma
