#include "daemon/core/loop_thread.hpp"

#include "daemon/core/thread.hpp"

#include <algorithm>
#include <utility>

namespace ubf {

LoopThread::LoopThread(std::string name)
  : heartbeat_(std::move(name)) {
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
}

void LoopThread::start(const char* name, std::vector<unsigned> capabilities, Round round) {
    thread_ =
        std::thread([this, name, capabilities = std::move(capabilities), round = std::move(round)] {
            enter_thread(name, std::span(std::as_const(capabilities)));
            run(round);
        });
}

void LoopThread::run(const Round& round) {
    while (!ending_) {
        const auto latest = Clock::now() + Heartbeat::period;
        loop_.run_once(std::min(round.due().value_or(latest), latest));
        const auto now = Clock::now();
        heartbeat_.beat(now);
        round.go_on(now);
    }
}

void LoopThread::stop() {
    post([this] { end(); });
    join();
}

void LoopThread::join() {
    if (thread_.joinable())
        thread_.join();
}

} // namespace ubf
