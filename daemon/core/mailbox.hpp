// Work that other threads leave for the thread that owns the mailbox.
#pragma once

#include "base/guarded.hpp"
#include "base/unique_fd.hpp"

#include <functional>
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
    bool is_first(Task task); // adds it; whether no other task waits

    UniqueFd event_;
    Guarded<std::vector<Task>> tasks_;
};

} // namespace ubf
