// UDP flows of this node that the kernel was told to forget a moment ago. A user who binds the port
// of a closed socket may send before the kernel has forgotten its flow. If a peer asks about that
// datagram later, it belongs to the forgotten flow, and must not count as forged.
#pragma once

#include "base/guarded.hpp"
#include "daemon/udp/departures.hpp"
#include "flow/flow.hpp"

#include <chrono>

namespace ubf {

class LatelySent {
  public:
    // By any thread. flow: as this node has sent it.
    void add(const Flow& flow) {
        const auto flows = flows_.lock();
        flows->add(flow, Clock::now());
    }

    bool has(const Flow& flow) const {
        return flows_.lock()->certainly_since(flow, Clock::now() - horizon);
    }

  private:
    static constexpr std::chrono::seconds horizon{1}; // no question waits as long

    Guarded<Departures<Flow>> flows_;
};

} // namespace ubf
