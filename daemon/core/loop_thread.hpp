// A thread with an event loop, a mailbox and a heartbeat. All threads that wait for descriptors are
// run by it.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace ubf {

class LoopThread {
  public:
    // The owner's part of each round. A round waits until something is ready or due, and handles
    // what is ready; then it calls `go_on`.
    struct Round {
        std::function<std::optional<TimePoint>()> due;
        std::function<void(TimePoint now)> go_on;
    };

    // name: of the heartbeat. The thread isn't started yet. Throws std::system_error.
    explicit LoopThread(std::string name);
    // The owner has stopped it, before its own parts go.
    ~LoopThread() { stop(); }

    EventLoop& loop() { return loop_; }
    Mailbox& mailbox() { return mailbox_; }
    void post(Mailbox::Task task) { mailbox_.post(std::move(task)); } // by any thread
    Heartbeat& heartbeat() { return heartbeat_; }
    const Heartbeat& heartbeat() const { return heartbeat_; }

    // name, capabilities: as enter_thread() takes them. Throws std::system_error.
    void start(const char* name, std::vector<unsigned> capabilities, Round round);
    // By the thread itself: this round is the last one.
    void end() { ending_ = true; }
    // By others: the thread does what waits in the mailbox, and ends.
    void stop();
    void join(); // waits until it ends

  private:
    void run(const Round& round);

    EventLoop loop_;
    Mailbox mailbox_;
    Heartbeat heartbeat_;
    bool ending_ = false;
    std::thread thread_;
};

} // namespace ubf
