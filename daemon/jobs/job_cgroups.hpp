// Finds the jobs that have a cgroup on this node. A job whose cgroup is gone is over, even if its
// Epilog never ran.
#pragma once

#include "label/slurm.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <unordered_set>

namespace ubf {

class JobCgroups {
  public:
    // Reads the folders in which slurmd keeps the cgroups once, however many jobs there are.
    // Nothing if a folder can't be read: a job that is not found might still run.
    static std::optional<JobCgroups> read(const std::filesystem::path& mount = "/sys/fs/cgroup");

    bool has(const Job& job) const;

  private:
    using Names = std::unordered_set<std::string>;
    Names v1_; // uid_U/job_J, below .../freezer/slurm*
    Names v2_; // job_J or a SLUID, below .../system.slice/*slurmstepd.scope
};

} // namespace ubf
