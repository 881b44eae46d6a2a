// What the kernel's part of ubfd writes down of a process, and ubfd reads. C, for BPF and for C++.
// Without gaps: BPF's verifier takes no record of which a byte was never written.
#pragma once

#include <linux/types.h>

#define UBF_RECORD_GROUPS 32 // more are counted, but not kept
#define UBF_RECORD_COMM 16   // TASK_COMM_LEN, linux/sched.h
#define UBF_RECORD_MISLEADS 0xffffffffU // in place of the number of groups

struct ubf_owner_record {
    __u32 uid; // real and effective, as the initial user namespace sees them
    __u32 euid;
    __u32 gid;
    __u32 egid;
    __s32 pid; // of the process, not of the thread, as ubfd sees it; 0: it doesn't
    __u32 several; // not 0: other processes, of the same user and groups, held the socket as well
    __u32 group_count;
    __u32 groups[UBF_RECORD_GROUPS]; // supplementary; none where there are more than fit
    char comm[UBF_RECORD_COMM];
};
