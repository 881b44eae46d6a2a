// A process that is to be killed because of a connection that it has. Neither a verb of netlink's
// nor of anybody else's ends a connection that another process holds, and a queue pair never passes
// the kernel again once it works: only the end of its process ends it, for the kernel takes what
// the process leaves.
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
    // ended, or is the first process of the node or this one. Whoever sees afterwards that the
    // number still is the task's knows that this is its process.
    static std::optional<Target> of(Pid task, const ProcessSearch& processes);

    // Of the task, when hold was taken.
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
