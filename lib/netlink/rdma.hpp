// The connections of the RDMA subsystem: connection manager ids and queue pairs, as `rdma resource
// show` of iproute2 lists them (NETLINK_RDMA, RDMA_NL_NLDEV; rdma/rdma_netlink.h,
// drivers/infiniband/core/nldev.c). Needs no libibverbs, and opens no device.
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

// The maker of an entry: the kernel, or a task, which need not be the first of its process.
// Neither: the task has ended, and others use its entry.
struct Maker {
    std::optional<Pid> task; // as our pid namespace numbers it
    bool kernel = false;

    bool operator==(const Maker&) const = default;
};

// enum rdma_cm_state of rdma/rdma_cm.h, which user space can't include: in the order of its values.
enum class State : std::uint8_t {
    idle,
    address_query,
    address_resolved,
    route_query,
    route_resolved,
    connect, // from the request on; both ends stay so during the connection
    disconnect,
    address_bound,
    listen,
    device_removal,
    destroying,
};

// A number is reused only after all others of the 2^32, so device and number identify an id.
struct CmKey {
    std::uint32_t device = 0;
    std::uint32_t number = 0;

    auto operator<=>(const CmKey&) const = default;
};

struct CmId {
    CmKey key;
    State state = State::idle;
    std::uint32_t port_space = 0; // RDMA_PS_TCP, ... of rdma/rdma_user_cm.h
    Endpoint source;              // the family's wildcard if the id listens everywhere
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

// One datagram of a dump. Entries with other than IP addresses are only counted.
template<typename Entry>
struct Part {
    std::vector<Entry> entries;
    std::size_t skipped = 0;
    bool done = false;   // it was the last one
    bool broken = false; // it didn't fit the format, or the kernel gave up
};

// Each reads the answer to a dump of that number. Messages of other dumps are skipped.
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
    // Nothing if this kernel has no RDMA subsystem. Needs no capability.
    static std::optional<Resources> open();

    // The indices of all devices that this network namespace may use. The error is an errno.
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
