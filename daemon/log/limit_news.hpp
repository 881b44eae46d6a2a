// Finds the users to log who begin connections faster than [limits] says. Each is
// logged at once, and again if it is still so ten minutes later. Pure memory, and little of it.
#pragma once

#include "base/types.hpp"
#include "daemon/core/event_loop.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <vector>

namespace ubf {

class LimitNews {
  public:
    static constexpr std::chrono::minutes again_after{10};
    static constexpr std::size_t most = 32; // users within that time, a line each

    // over: all who have been over the limit lately. Returns those to log.
    std::vector<Uid> tell(const std::vector<Uid>& over, TimePoint now);

  private:
    std::map<Uid, TimePoint> told_;
};

} // namespace ubf
