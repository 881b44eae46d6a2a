// The loop of the main thread: signals, and what other threads have done for it.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/mailbox.hpp"

#include <functional>
#include <utility>

namespace ubf {

class MainLoop {
  public:
    // Blocks the signals: threads that start later, which inherit the mask, never see one. Throws
    // std::system_error.
    MainLoop();

    // Calls `hang_up` on SIGHUP. SIGTERM and SIGINT end the loop.
    void begin(std::function<void()> hang_up);
    bool is_ending() const { return ending_; }

    EventLoop& loop() { return loop_; }
    void post(Mailbox::Task task) { mailbox_.post(std::move(task)); } // by any thread

  private:
    void handle_signals(const std::function<void()>& hang_up);

    UniqueFd signals_;
    EventLoop loop_;
    Mailbox mailbox_;
    bool ending_ = false;
};

} // namespace ubf
