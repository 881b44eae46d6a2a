// Descriptors and what to do when they are readable; knows nothing else.
#pragma once

#include "base/unique_fd.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>

namespace ubf {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
// Those who run a round, or hand on an event, read the clock and hand the time in. If the time
// that passes meanwhile matters, this is called: Clock::now, or the clock of a test.
using ReadClock = std::function<TimePoint()>;

class EventLoop {
  public:
    // Throws std::system_error.
    EventLoop();

    // The descriptor must outlive its watch. `writable`, where given, is called as well.
    void watch(int fd, std::function<void()> readable, std::function<void()> writable = {});
    // Calls `failed` on an error (EPOLLERR), whether or not the descriptor is watched otherwise.
    void watch_errors(int fd, std::function<void()> failed);
    void forget(int fd);
    // Leaves a watched descriptor alone for a while.
    void pause(int fd);
    void resume(int fd);
    // Waits, until that moment at most, and calls whatever is ready.
    void run_once(std::optional<TimePoint> until);

  private:
    struct Watch {
        std::function<void()> readable;
        std::function<void()> writable;
        std::function<void()> failed;
        std::uint32_t events = 0; // as the kernel knows them
    };

    void change(int operation, int fd, Watch& watch, bool paused);

    UniqueFd epoll_;
    std::unordered_map<int, Watch> watches_;
};

} // namespace ubf
