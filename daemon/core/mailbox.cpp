#include "daemon/core/mailbox.hpp"

#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <system_error>

namespace ubf {

Mailbox::Mailbox()
  : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_)
        throw std::system_error(errno, std::generic_category(), "eventfd");
}

bool Mailbox::is_first(Task task) {
    const auto tasks = tasks_.lock();
    tasks->push_back(std::move(task));
    return tasks->size() == 1;
}

void Mailbox::post(Task task) {
    if (is_first(std::move(task))) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
    }
}

void Mailbox::run() {
    // First this: a task that comes meanwhile wakes us once more.
    std::uint64_t count = 0;
    [[maybe_unused]] const auto length = ::read(event_.get(), &count, sizeof count);
    std::vector<Task> tasks;
    tasks_.lock()->swap(tasks);
    for (const auto& task : tasks)
        task();
}

} // namespace ubf
