// Descriptors and what to do when they are readable; knows nothing else.
#pragma once

#include "base/clock.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>

namespace ubf {

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
