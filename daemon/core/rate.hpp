// Counts what is done within a second.
#pragma once

#include "daemon/core/event_loop.hpp"

#include <chrono>

namespace ubf {

class Rate {
  public:
    // Counts one more. False if that is more than `most` in the second that began with the first.
    bool add(TimePoint now, unsigned most) {
        if (now - since_ >= std::chrono::seconds(1)) {
            since_ = now;
            count_ = 0;
        }
        return ++count_ <= most;
    }

  private:
    TimePoint since_{};
    unsigned count_ = 0;
};

} // namespace ubf
