// Shows that ubfd lives: watches its threads, and feeds systemd's watchdog while all vital ones go
// on.
#pragma once

#include "daemon/core/heartbeat.hpp"
#include "daemon/core/thread_watch.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace ubf {

class Life {
  public:
    Life();

    // The heartbeat must outlive us.
    void watch(const Heartbeat& thread) { threads_.add(thread); }
    const ThreadWatch& threads() const { return threads_; }
    // By the main thread, which looks after the others.
    void beat(TimePoint now) { heartbeat_.beat(now); }
    const Heartbeat& heartbeat() const { return heartbeat_; }

    std::chrono::system_clock::time_point since() const { return since_; }
    Clock::duration age() const { return Clock::now() - started_; }

    // To be called every half second or so.
    std::vector<ThreadWatch::News> look(TimePoint now) { return threads_.look(now); }
    // After look(). summary: one line for `systemctl status`, which is asked for seldom.
    void show(TimePoint now, const std::function<std::string()>& summary);

  private:
    const std::chrono::system_clock::time_point since_ = std::chrono::system_clock::now();
    const TimePoint started_ = Clock::now();
    ThreadWatch threads_;
    Heartbeat heartbeat_{"main"};
    std::chrono::microseconds watchdog_{}; // 0: nobody watches
    TimePoint shown_{};
};

} // namespace ubf
