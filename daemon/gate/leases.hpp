// The UDP verdicts of one round, on their way into the kernel's sets. They go there before the
// packets that they are about go on, and count once the kernel has them (udp_flows.hpp).
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/gate/kept_verdicts.hpp"

#include <vector>

namespace ubf {

class Leases {
  public:
    Leases(KeptVerdicts& verdicts, FlowCounters& counters)
      : verdicts_(verdicts)
      , counters_(counters) {}

    // False where the flow must not be allowed, since a socket of it may be gone.
    bool allow(AllowedFlow allowed, const UdpFlows::Ends& ends);
    void renew(const AllowedFlow& allowed) { renewed_.push_back(allowed); }
    void deny(const Flow& flow, const Owner& source, const UdpFlows::Ends& ends);

    // If a set is full, the flow's next packet is asked about as this one was.
    void write();
    // After the packets went on. Returns the flows that are allowed from now on.
    std::vector<AllowedFlow> confirm();

  private:
    struct Denied {
        Flow flow;
        UdpFlows::Lease lease;
    };
    bool empty() const { return allowed_.empty() && renewed_.empty() && denied_.empty(); }
    void choose(const std::vector<AllowedFlow>& flows, bool fabric);
    void count_full(int error);

    KeptVerdicts& verdicts_;
    FlowCounters& counters_;
    std::vector<AllowedFlow> allowed_;
    std::vector<AllowedFlow> renewed_;
    std::vector<Denied> denied_;
    std::vector<Flow> leaving_; // kept for its room
};

} // namespace ubf
