// A sign of life from one thread to another.
#pragma once

#include "daemon/core/event_loop.hpp"

#include <atomic>

namespace ubf {

class Heartbeat {
  public:
    // How often the thread must come by, at least.
    static constexpr std::chrono::seconds period{1};

    void beat(TimePoint now) { last_.store(now.time_since_epoch().count()); }
    bool heard_since(TimePoint then) const {
        return TimePoint(TimePoint::duration(last_.load())) >= then;
    }

  private:
    std::atomic<TimePoint::rep> last_{Clock::now().time_since_epoch().count()};
};

} // namespace ubf
