// The daemon's clock in a replay. It advances only between the worker's rounds. It is far ahead of
// the machine's clock, by which threads wait, so that no timeout ends early.
#pragma once

#include <atomic>
#include <chrono>

namespace ubf::budget {

class Time {
  public:
    static std::chrono::nanoseconds now() { return std::chrono::nanoseconds(now_.load()); }
    static void pass(std::chrono::nanoseconds time) { now_ += time.count(); }

  private:
    static constexpr std::chrono::nanoseconds begin = std::chrono::seconds(1'000'000'000);
    static inline std::atomic<std::chrono::nanoseconds::rep> now_{begin.count()};
};

} // namespace ubf::budget
