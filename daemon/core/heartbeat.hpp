// A sign of life from one thread to another.
#pragma once

#include "daemon/core/event_loop.hpp"

#include <atomic>
#include <string>
#include <utility>

namespace ubf {

class Heartbeat {
  public:
    // How often the thread must come by, at least.
    static constexpr std::chrono::seconds period{1};
    // A thread without a heartbeat for so long stands still.
    static constexpr std::chrono::seconds patience{3 * period};

    // waits_for: a service outside ubfd that may block the thread for any time, without harm to a
    // verdict. Empty for a vital thread, which nothing may block.
    explicit Heartbeat(std::string name, std::string waits_for = {})
      : name_(std::move(name))
      , waits_for_(std::move(waits_for)) {}

    void beat(TimePoint now) { last_.store(now.time_since_epoch().count()); }

    const std::string& name() const { return name_; }
    const std::string& waits_for() const { return waits_for_; }
    bool is_vital() const { return waits_for_.empty(); }
    TimePoint last() const { return TimePoint(TimePoint::duration(last_.load())); }
    bool stands_still(TimePoint now) const { return now - last() > patience; }

  private:
    const std::string name_;
    const std::string waits_for_;
    std::atomic<TimePoint::rep> last_{Clock::now().time_since_epoch().count()};
};

} // namespace ubf
