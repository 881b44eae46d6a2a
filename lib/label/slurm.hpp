// Slurm jobs: the data of a job, and the job that a process belongs to.
#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

// A job, as registered at its start on this node.
struct Job {
    std::uint32_t id = 0;
    std::string sluid; // its other name, from Slurm 25.11 on; or empty
    Uid uid{};
    std::string label; // its MCS label, or empty
    std::string account;
    std::string partition;
    std::string grant{}; // its user may be here, says the scheduler's node; in armour, or empty

    bool operator==(const Job&) const = default;
};

// The place of a process, from its cgroups.
struct SlurmPlace {
    bool in_job = false;
    std::string job{};        // its id, or its SLUID; empty if the cgroups contradict each other
    std::optional<Uid> uid{}; // if the path names it
};

// Reads /proc/PID/cgroup. Only slurmd's own paths count, from the root of the hierarchies in which
// it keeps the processes of jobs (Slurm's proctrack/cgroup):
//
//     v1, freezer:  /slurm[_NODE]/uid_U/job_J/...
//     v2:           /system.slice/[NODE_]slurmstepd.scope/job_J/... (job_J can be the SLUID)
//
// Only root can make these paths. Users with a delegated subtree can make the same names in it, but
// never at the root.
SlurmPlace slurm_place(std::string_view cgroups);

// Whether the name is that of slurmd's directory in these paths: /slurm[_NODE], or
// [NODE_]slurmstepd.scope.
bool is_slurm_top(std::string_view name);
bool is_slurm_scope(std::string_view name);

} // namespace ubf
