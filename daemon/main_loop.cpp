#include "daemon/main_loop.hpp"

#include "daemon/core/signals.hpp"

#include <csignal>

namespace ubf {

MainLoop::MainLoop()
  : signals_(open_signals({SIGTERM, SIGINT, SIGHUP})) {}

void MainLoop::begin(std::function<void()> hang_up) {
    loop_.watch(signals_.get(), [this, hang_up = std::move(hang_up)] { handle_signals(hang_up); });
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
}

void MainLoop::handle_signals(const std::function<void()>& hang_up) {
    if (take_signals(signals_.get(), hang_up))
        ending_ = true;
}

} // namespace ubf
