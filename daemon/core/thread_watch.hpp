// Watches that all threads go on. Any thread that stands still is logged. If a vital thread stands
// still, systemd's watchdog is not fed any more, and systemd restarts ubfd.
#pragma once

#include "daemon/core/heartbeat.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ubf {

// The line about a thread that stands still.
std::string text_of_still(const Heartbeat& thread, TimePoint now);

class ThreadWatch {
  public:
    // The heartbeat must outlive us.
    void add(const Heartbeat& thread) { threads_.push_back({&thread}); }

    // A line about a thread that has come to stand still, or goes on again.
    struct News {
        bool is_error; // else a warning
        std::string text;
    };
    // To be called every half second or so. If a look comes late, ubfd as a whole was held up,
    // and the look judges no thread.
    std::vector<News> look(TimePoint now);

    // At the last look.
    bool all_vital_go_on() const;
    struct Still {
        const Heartbeat* thread;
        std::chrono::seconds since;
    };
    std::vector<Still> still(TimePoint now) const;

    std::size_t size() const { return threads_.size(); }
    std::uint64_t stalls() const { return stalls_; } // since the start

  private:
    struct Watched {
        const Heartbeat* thread;
        bool still = false;
        TimePoint last{}; // its last heartbeat before it stood still
    };

    std::vector<Watched> threads_;
    TimePoint looked_{};
    std::uint64_t stalls_ = 0;
};

} // namespace ubf
