// Tells which end of a connection is ours. The RDMA subsystem doesn't say. But the id of a
// listener's end has the address of the id that listens, and no other id may be bound there
// (drivers/infiniband/core/cma.c, cma_check_port and rdma_listen).
#pragma once

#include "flow/flow.hpp"
#include "netlink/rdma.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

namespace ubf::rdma {

enum class End : std::uint8_t { connector, listener };

inline End other(End end) {
    return end == End::connector ? End::listener : End::connector;
}

// The places where ids listened when the table was read.
class Listeners {
  public:
    void add(const CmId& id);
    // The listening id from which this connected id came, if it is the listener's end. An id that
    // listens on :: stands for IPv4 as well, for nobody says whether it was told not to. So an end
    // can pose as the listener's, but is never taken for the connector's.
    std::optional<CmKey> of(const CmId& connection) const;

  private:
    std::map<std::tuple<std::uint32_t, bool, Endpoint>, CmKey> ids_;
};

// Whether it is connected, or on the way to be.
inline bool is_connection(const CmId& id) {
    return id.state == State::connect && id.destination.has_value();
}

// From this end to the other; only of a connection.
inline Flow way_out(const CmId& id) {
    return {Protocol::rdma, id.source, *id.destination};
}
// From the connector to the listener.
inline Flow flow_of(const CmId& id, End end) {
    return end == End::connector ? way_out(id) : way_out(id).reversed();
}

} // namespace ubf::rdma
