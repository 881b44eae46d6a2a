// Slurm's jobs: what is known of one, and which one a process belongs to.
#pragma once

#include "base/types.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

// As it was registered when it began on this node.
struct Job {
    std::uint32_t id = 0;
    std::string sluid; // its other name, from Slurm 25.11 on; or empty
    Uid uid{};
    std::string label; // its MCS label, or empty
    std::string account;
    std::string partition;

    bool operator==(const Job&) const = default;
};

// Where the cgroups of a process place it.
struct SlurmPlace {
    bool in_job = false;
    std::string job{};        // its id, or its SLUID; empty where the cgroups contradict each other
    std::optional<Uid> uid{}; // where the path names it
};

// Reads /proc/PID/cgroup. Believed are the hierarchies that slurmd keeps the processes of jobs in,
// and there the paths of its own from the root on (Slurm's proctrack/cgroup):
//     v1, freezer:  /slurm[_NODE]/uid_U/job_J/...
//     v2:           /system.slice/[NODE_]slurmstepd.scope/job_J/... (or the SLUID in place of
//     job_J)
// Only root can make these. A user who was given a subtree of his own can make the same names in
// it, but never at the root.
SlurmPlace slurm_place(std::string_view cgroups);

// The names in these paths that say where slurmd keeps its jobs: /slurm[_NODE], and
// [NODE_]slurmstepd.scope.
bool is_slurm_top(std::string_view name);
bool is_slurm_scope(std::string_view name);

} // namespace ubf
