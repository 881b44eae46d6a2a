// The parts of ubfd that have programs in the kernel share these. They are not built without BPF.
#pragma once

#include "base/unique_fd.hpp"

#include <bpf/libbpf.h>
#include <cstdint>
#include <string>

namespace ubf {

// Since Linux 5.19 a holder of a map's descriptor may read and change the map
// (kernel/bpf/syscall.c, c8644cd0efe7). Before, that takes CAP_BPF if
// kernel.unprivileged_bpf_disabled is set, and no thread of ours keeps CAP_BPF.
bool can_be_used_without_privileges(int map);

inline constexpr const char* needs_privileges =
    "before Linux 5.19, its maps take CAP_BPF for as long as ubfd runs, while "
    "kernel.unprivileged_bpf_disabled is not 0";

// Whether the kernel describes its types, which programs read by their names.
bool kernel_has_types();

inline constexpr const char* needs_types =
    "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)";
inline constexpr const char* needs_cgroups = "there are no cgroups of version 2 (/sys/fs/cgroup)";

// The inode of a namespace of this process; 0, which no namespace has, if /proc does not tell.
std::uint32_t inode_of(const char* name_space);

// The cookie of our network namespace (SO_NETNS_COOKIE); 0, which none has, if the kernel does not
// tell.
std::uint64_t own_network_namespace();

// Says why the programs are not in use. step: that failed, like "loading the BPF programs". takes:
// the privileges for it.
std::string failure_of(const char* step, int error, const char* takes);
std::string network_failure_of(const char* step, int error); // programs that see packets

// Attaches a program to a cgroup. If a predecessor's link was kept, our program replaces the
// predecessor's, so that there is no moment without one. Empty, with errno, if the kernel refuses.
// Takes CAP_NET_ADMIN.
UniqueFd attach(UniqueFd kept, const bpf_program* program, int cgroup, bpf_attach_type type);

} // namespace ubf
