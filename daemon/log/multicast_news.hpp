// Finds the destinations of multicast and broadcast to log. The ruleset drops packets for many
// listeners without a trace. So each destination is logged at once, and again if it is still in use
// an hour later. Pure memory, and little of it.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "flow/address.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace ubf {

class MulticastNews {
  public:
    static constexpr std::chrono::hours again_after{1};
    static constexpr std::size_t most = 32; // destinations within that time, a line each

    // dropped: all recent destinations. Returns sentences for the log.
    std::vector<std::string> tell(const std::vector<Endpoint>& dropped, TimePoint now);

  private:
    std::map<Endpoint, TimePoint> told_;
    TimePoint told_of_others_{}; // when the log said that there are more destinations
};

} // namespace ubf
