// Work that other threads leave for the thread that owns the mailbox.
#pragma once

#include "base/unique_fd.hpp"

#include <functional>
#include <mutex>
#include <vector>

namespace ubf {

class Mailbox {
  public:
    using Task = std::function<void()>;

    // Throws std::system_error.
    Mailbox();

    int fd() const { return event_.get(); } // readable when tasks wait
    void post(Task task);
    // By the owner: runs what waits.
    void run();

  private:
    UniqueFd event_;
    std::mutex mutex_;
    std::vector<Task> tasks_;
};

} // namespace ubf
