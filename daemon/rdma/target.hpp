// A process that is to be killed because of a connection that it has. The kernel has no request
// that ends another process's connection, and sees nothing of a queue pair that works. Only the end
// of the process ends the connection.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "owner/process_search.hpp"

#include <optional>
#include <string>

namespace ubf {

class Target {
  public:
    // Takes hold of the process of a task, whatever becomes of their numbers. Nothing where it has
    // ended, or is the first process of the node or this one. If the number is still the task's
    // afterwards, this is its process.
    static std::optional<Target> of(Pid task, const ProcessSearch& processes);

    // The status of the task when hold was taken.
    const ProcessStatus& status() const { return status_; }
    // 0, or an errno. Takes CAP_KILL.
    int kill() const;

  private:
    Target(UniqueFd process, ProcessStatus status)
      : process_(std::move(process))
      , status_(std::move(status)) {}

    UniqueFd process_;
    ProcessStatus status_;
};

} // namespace ubf
