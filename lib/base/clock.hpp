// The clock of all deadlines and ages: it goes on steadily, whoever sets the time of day.
#pragma once

#include <chrono>
#include <functional>

namespace ubf {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
// Those who run a round, or hand on an event, read the clock and hand the time in. If the time
// that passes meanwhile matters, this is called: Clock::now, or the clock of a test.
using ReadClock = std::function<TimePoint()>;

} // namespace ubf
