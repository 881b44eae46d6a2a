// The record of a process that the kernel's part of ubfd writes, and ubfd reads. C, for BPF and for
// C++. It has no gaps: BPF's verifier takes no record with a byte that was never written.
#pragma once

#include <linux/types.h>

#define UBF_RECORD_GROUPS 32            // more are counted, but not kept
#define UBF_RECORD_COMM 16              // TASK_COMM_LEN, linux/sched.h
#define UBF_RECORD_MISLEADS 0xffffffffU // in place of the number of groups
#define UBF_RECORD_NO_CGROUP (~0ULL)    // in place of a cgroup's id: not recorded
#define UBF_RECORD_PORTS 65536          // all of TCP
#define UBF_RECORD_MOVES 65536          // places for the times at which processes were moved
#define UBF_RECORD_SOUGHT 1024          // sockets whose holders are looked for at once

struct ubf_owner_record {
    __u64 time; // of CLOCK_BOOTTIME, in nanoseconds
    // The ids of the process's cgroups, or of their ancestors, on the third level below the root:
    // in version 1's freezer, and in version 2. 0: the cgroup is not as deep.
    __u64 cgroup_v1;
    __u64 cgroup_v2;
    __u32 uid; // real and effective, as the initial user namespace sees them
    __u32 euid;
    __u32 gid;
    __u32 egid;
    __s32 pid;     // of the process, not of the thread, as ubfd sees it; 0: ubfd does not see it
    __u32 place;   // in the map of moves: the time of the process's last move to another cgroup
    __u32 several; // not 0: other processes, of the same user and groups, held the socket as well
    __u32 group_count;
    __u32 groups[UBF_RECORD_GROUPS]; // supplementary; none where there are more than fit
    char comm[UBF_RECORD_COMM];
};
