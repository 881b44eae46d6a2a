// Which jobs have a cgroup on this node: one whose cgroup is gone is over, whatever became of its
// Epilog.
#pragma once

#include "base/unique_fd.hpp"
#include "label/slurm.hpp"

#include <string>
#include <vector>

namespace ubf {

class JobCgroups {
  public:
    // Looks where slurmd keeps them now: the tops of its hierarchies come and go with it.
    explicit JobCgroups(const char* mount = "/sys/fs/cgroup");

    bool has(const Job& job) const;

  private:
    std::vector<UniqueFd> v1_; // .../freezer/slurm*
    std::vector<UniqueFd> v2_; // .../system.slice/*slurmstepd.scope
};

} // namespace ubf
