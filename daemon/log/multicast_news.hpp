// Says which destinations of multicast and broadcast are news. The ruleset drops what is for many
// listeners, and nobody would know: each place is told at once, and again where it is still in use
// long after. Pure memory, and little of it.
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
    static constexpr std::size_t most = 32; // places within that time, each a line

    // dropped: all places of late. Sentences for the log.
    std::vector<std::string> tell(const std::vector<Endpoint>& dropped, TimePoint now);

  private:
    std::map<Endpoint, TimePoint> told_;
    TimePoint told_of_others_{}; // that there were more than a line each is for
};

} // namespace ubf
