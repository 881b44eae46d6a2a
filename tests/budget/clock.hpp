// The time, as the daemon is told it. It stands still but for what passes between the worker's
// rounds; and it is far ahead of the machine's clock, by which threads wait, so that nobody's
// patience ends.
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
