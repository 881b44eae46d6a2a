// The parts of ubfd that have programs in the kernel share these. They are not built without BPF.
#pragma once

#include "base/unique_fd.hpp"

#include <bpf/libbpf.h>

namespace ubf {

// Since Linux 5.19 who has a map may read and change it (kernel/bpf/syscall.c, c8644cd0efe7);
// before, it takes CAP_BPF where kernel.unprivileged_bpf_disabled is set, and no thread of ours
// keeps that.
bool can_be_used_without_privileges(int map);

inline constexpr const char* needs_privileges =
    "before Linux 5.19, its maps take CAP_BPF for as long as ubfd runs, while "
    "kernel.unprivileged_bpf_disabled is not 0";

// Attaches a program to a cgroup; in the place of that of a ubfd before us, where its link was
// kept, so that there is no moment without. Empty, with errno, where the kernel refuses. Takes
// CAP_NET_ADMIN.
UniqueFd attach(UniqueFd kept, const bpf_program* program, int cgroup, bpf_attach_type type);

} // namespace ubf
