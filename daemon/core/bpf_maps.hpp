// What all need who have BPF maps. Where ubfd is built without BPF, nobody calls it.
#pragma once

namespace ubf {

// Since Linux 5.19 who has a map may read and change it (kernel/bpf/syscall.c, c8644cd0efe7);
// before, it takes CAP_BPF where kernel.unprivileged_bpf_disabled is set, and no thread of ours
// keeps that.
bool can_be_used_without_privileges(int map);

inline constexpr const char* needs_privileges =
    "before Linux 5.19, its maps take CAP_BPF for as long as ubfd runs, while "
    "kernel.unprivileged_bpf_disabled is not 0";

} // namespace ubf
