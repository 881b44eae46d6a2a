// The part of ubfd that runs in the kernel: when a process makes a socket listen, connect or take a
// UDP port, it writes down who that process is, by the socket's cookie. It decides nothing. A map
// for each of the three, so that connections, which come by the thousand, push no listener out.
#include "owner_record.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define MOST_SOCKETS 32768 // in each map; beyond it, those that were written down longest ago go

// Of the kernel's types, what is read here. Where it stands in them, the running kernel says (BTF).
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    __u32 val;
} kuid_t;

typedef struct {
    __u32 val;
} kgid_t;

struct group_info {
    int ngroups;
    kgid_t gid[0];
};

struct cred {
    kuid_t uid;
    kuid_t euid;
    kgid_t gid;
    kgid_t egid;
    struct group_info* group_info;
};

struct task_struct {
    int tgid;
    const struct cred* cred;
};

struct sock {
    __u8 sk_kern_sock : 1;
};

#pragma clang attribute pop

struct records {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MOST_SOCKETS);
    __type(key, __u64); // the cookie
    __type(value, struct ubf_owner_record);
};

struct records listens SEC(".maps");
struct records connects SEC(".maps");
struct records binds SEC(".maps");

static __always_inline void write_down(void* map, struct sock* socket) {
    // What the kernel makes for itself, it makes while any process runs.
    if (BPF_CORE_READ_BITFIELD_PROBED(socket, sk_kern_sock))
        return;
    const struct task_struct* task = bpf_get_current_task_btf();
    const struct cred* cred = task->cred;
    struct ubf_owner_record record = {
        .uid = cred->uid.val,
        .euid = cred->euid.val,
        .gid = cred->gid.val,
        .egid = cred->egid.val,
        .pid = task->tgid,
    };
    const struct group_info* groups = cred->group_info;
    const __u32 count = groups->ngroups;
    record.group_count = count;
    if (count <= UBF_RECORD_GROUPS &&
        bpf_probe_read_kernel(record.groups, count * sizeof record.groups[0], groups->gid) != 0)
        return;
    bpf_get_current_comm(record.comm, sizeof record.comm);
    const __u64 cookie = bpf_get_socket_cookie(socket);
    bpf_map_update_elem(map, &cookie, &record, BPF_ANY);
}

// Each before the socket can be reached: no packet comes sooner than the record.

SEC("fentry/inet_csk_listen_start")
int BPF_PROG(on_listen, struct sock* socket) {
    write_down(&listens, socket);
    return 0;
}

SEC("fentry/tcp_connect")
int BPF_PROG(on_connect, struct sock* socket) {
    write_down(&connects, socket);
    return 0;
}

// bind(), and the first datagram or connect() of a socket that nobody bound.
SEC("fentry/udp_lib_get_port")
int BPF_PROG(on_bind, struct sock* socket) {
    write_down(&binds, socket);
    return 0;
}

// What reads the kernel's memory may be used by programs under the GPL alone.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
