#include "daemon/rdma/target.hpp"

#include <cerrno>
#include <csignal>
#include <sys/syscall.h>
#include <unistd.h>

namespace ubf {

std::optional<Target> Target::of(Pid task, const ProcessSearch& processes) {
    const auto holder = processes.task(task);
    if (!holder)
        return std::nullopt;
    const auto process = value(holder->status.process);
    if (process <= 1 || process == ::getpid())
        return std::nullopt;
    // glibc has no name for these before 2.36.
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    if (!fd)
        return std::nullopt;
    return Target(std::move(fd), holder->status);
}

int Target::kill() const {
    const auto result = ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
    return result == 0 ? 0 : errno;
}

} // namespace ubf
