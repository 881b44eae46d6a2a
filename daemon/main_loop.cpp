#include "daemon/main_loop.hpp"

#include <cerrno>
#include <csignal>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace ubf {
namespace {

UniqueFd open_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&signals, signal);
    if (::pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0)
        throw std::system_error(errno, std::generic_category(), "blocking signals");
    UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd)
        throw std::system_error(errno, std::generic_category(), "signalfd");
    return fd;
}

} // namespace

MainLoop::MainLoop()
  : signals_(open_signals()) {}

void MainLoop::begin(std::function<void()> hang_up) {
    loop_.watch(signals_.get(), [this, hang_up = std::move(hang_up)] { handle_signals(hang_up); });
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
}

void MainLoop::handle_signals(const std::function<void()>& hang_up) {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            hang_up();
        else
            ending_ = true;
    }
}

} // namespace ubf
