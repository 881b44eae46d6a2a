// Finds the destinations of multicast and broadcast to log. The ruleset drops packets for many
// listeners without a trace. So each destination is logged at once, and again if it is still in use
// an hour later. Pure memory, and little of it.
#pragma once

#include "daemon/log/news.hpp"
#include "flow/address.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace ubf {

class MulticastNews {
  public:
    static constexpr std::chrono::hours again_after{1};

    // dropped: all recent destinations. Returns sentences for the log.
    std::vector<std::string> tell(const std::vector<Endpoint>& dropped, TimePoint now);

  private:
    News<Endpoint> news_{again_after};
    TimePoint told_of_others_{}; // when the log said that there are more destinations
};

} // namespace ubf
