// The part of ubfd that records owners in the kernel. When a process makes a socket listen, connect
// or take a UDP port, it records that process by the socket's cookie. It decides nothing. Each of
// the three has a map of its own, so that connections, which come by the thousand, evict no
// listener. A record holds the cgroup that tells the process's job. A move to another cgroup is
// recorded, too. The holders of older sockets are recorded once.
#include "owner_record.h"

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "../../core/bpf/kernel_types.h"

#define MOST_SOCKETS 32768    // in each map; beyond it, the oldest records are evicted
#define MOST_CGROUPS 24       // nested
#define MOST_PID_NAMESPACES 8 // nested; a process in deeper ones has no pid for us

enum {
    TCP = 6, // IPPROTO_TCP, IPPROTO_UDP, linux/in.h
    UDP = 17,
    SYN_SENT = 2, // TCP_SYN_SENT, TCP_LISTEN, net/tcp_states.h
    LISTEN = 10,
    INET = 2, // AF_INET, AF_INET6, linux/socket.h
    INET6 = 10,
};

// Like kernel_types.h, for the members that only this program reads.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

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

struct pid_namespace {
    struct ns_common ns;
};

struct upid {
    int nr;
    struct pid_namespace* ns;
};

struct pid {
    unsigned level; // of the innermost PID namespace that it is in
    struct upid numbers[1];
};

struct kernfs_node {
    __u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
    struct cgroup* cgroup;
    struct cgroup_subsys_state* parent;
};

struct cgroup {
    struct cgroup_subsys_state self;
    struct kernfs_node* kn;
};

struct css_set {
    struct cgroup_subsys_state* subsys[1]; // of each controller, whatever its hierarchy
    struct cgroup* dfl_cgrp;               // of version 2
};

struct task_struct {
    int tgid;
    struct css_set* cgroups;
    struct task_struct* group_leader;
    struct pid* thread_pid;
    const struct cred* cred;
    char comm[UBF_RECORD_COMM];
};

struct socket {
    struct sock* sk;
};

struct file;

struct seq_file;

struct bpf_iter_meta {
    struct seq_file* seq;
};

struct bpf_iter__task_file {
    struct bpf_iter_meta* meta;
    struct task_struct* task;
    struct file* file;
};

#pragma clang attribute pop

enum cgroup_subsys_id {
    freezer_cgrp_id = 1, // the kernel's own number is put here
};

struct records {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MOST_SOCKETS);
    __type(key, __u64); // the cookie
    __type(value, struct ubf_owner_record);
};

struct records listens SEC(".maps");
struct records connects SEC(".maps"); // ubfd makes it larger if there is memory
struct records binds SEC(".maps");

// The namespaces in which ubfd runs: the inodes of its /proc/self/ns/pid and net.
const volatile __u32 pid_namespace = 0;
const volatile __u32 net_namespace = 0;
// The inodes of the roots of both hierarchies, as ubfd sees them; 0: there is none.
const volatile __u64 root_v1 = 0;
const volatile __u64 root_v2 = 0;
const volatile __u32 wants_cgroups = 0; // no bool: the skeleton is C++ as well

// Each place has the time at which one of its processes was moved last. If processes share a place,
// a record may count as stale that is not. ubfd has this map mapped.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, UBF_RECORD_MOVES);
    __type(key, __u32);
    __type(value, __u64);
} moves SEC(".maps");

// Not 0: a listener of this port lets others share it (SO_REUSEPORT). If it is 0, only the listener
// that fits best can get a connection. ubfd has this map mapped.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, UBF_RECORD_PORTS);
    __type(key, __u32);
    __type(value, __u64);
} shared_ports SEC(".maps");

// The cookies of the sockets whose holders ubfd looks for.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, UBF_RECORD_SOUGHT);
    __type(key, __u64);
    __type(value, __u64);
} sought SEC(".maps");

// ubfd is never asked about sockets of other network namespaces.
static __always_inline bool is_ours(const struct sock* socket) {
    return socket->__sk_common.skc_net.net->ns.inum == net_namespace;
}

// The pid as ubfd sees it; 0 if ubfd does not see the task.
static __always_inline __s32 number_of(const struct pid* pid) {
    if (pid->numbers[0].ns->ns.inum == pid_namespace)
        return pid->numbers[0].nr;
    const unsigned level = pid->level;
    for (unsigned i = 1; i < MOST_PID_NAMESPACES && i <= level; ++i) {
        const struct upid* number =
            (const void*)((const char*)pid->numbers +
                          (unsigned long)i * bpf_core_type_size(struct upid));
        if (BPF_CORE_READ(number, ns, ns.inum) == pid_namespace)
            return BPF_CORE_READ(number, nr);
    }
    return 0;
}

static __always_inline __s32 process_id(const struct task_struct* task) {
    return number_of(task->group_leader->thread_pid);
}

// The cgroup at or above `cgroup` that is third below the root; 0 if it is not as deep.
static __always_inline __u64 third_below(__u64 root, const struct cgroup* cgroup) {
    __u64 first = 0, second = 0, third = 0;
    for (int i = 0; i < MOST_CGROUPS && cgroup; ++i) {
        const __u64 id = BPF_CORE_READ(cgroup, kn, id);
        if (id == root)
            return third;
        third = second;
        second = first;
        first = id;
        cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
    }
    return 0;
}

static __always_inline void add_cgroups(struct task_struct* task, struct ubf_owner_record* record) {
    const struct css_set* set = task->cgroups;
    if (root_v2 != 0)
        record->cgroup_v2 = third_below(root_v2, set->dfl_cgrp);
    if (root_v1 == 0 || !bpf_core_enum_value_exists(enum cgroup_subsys_id, freezer_cgrp_id))
        return;
    const unsigned freezer = bpf_core_enum_value(enum cgroup_subsys_id, freezer_cgrp_id);
    const struct cgroup_subsys_state* state = 0;
    bpf_probe_read_kernel(&state, sizeof state,
                          (const void*)&set->subsys[0] + freezer * sizeof state);
    if (state)
        record->cgroup_v1 = third_below(root_v1, BPF_CORE_READ(state, cgroup));
}

// False if the kernel's memory can't be read.
static __always_inline bool describe(struct task_struct* task, struct ubf_owner_record* record) {
    const struct cred* cred = task->cred;
    *record = (struct ubf_owner_record){
        .time = bpf_ktime_get_boot_ns(),
        .cgroup_v1 = wants_cgroups ? 0 : UBF_RECORD_NO_CGROUP,
        .cgroup_v2 = wants_cgroups ? 0 : UBF_RECORD_NO_CGROUP,
        .place = (__u32)task->tgid % UBF_RECORD_MOVES,
        .uid = cred->uid.val,
        .euid = cred->euid.val,
        .gid = cred->gid.val,
        .egid = cred->egid.val,
        .pid = process_id(task),
    };
    if (wants_cgroups)
        add_cgroups(task, record);
    const struct group_info* groups = cred->group_info;
    const __u32 count = groups->ngroups;
    record->group_count = count;
    if (count <= UBF_RECORD_GROUPS &&
        bpf_probe_read_kernel(record->groups, count * sizeof record->groups[0], groups->gid) != 0)
        return false;
    return bpf_probe_read_kernel_str(record->comm, sizeof record->comm, task->comm) >= 0;
}

// If this is a second listener, it has set SO_REUSEPORT by now: otherwise the kernel would have
// refused it the port.
static __always_inline void tell_shared(struct sock* listener) {
    if (!is_ours(listener) || !BPF_CORE_READ_BITFIELD(&listener->__sk_common, skc_reuseport))
        return;
    const __u32 port = listener->__sk_common.skc_num;
    const __u64 yes = 1;
    bpf_map_update_elem(&shared_ports, &port, &yes, BPF_ANY);
}

static __always_inline void write_down(void* map, struct sock* socket) {
    if (!is_ours(socket))
        return;
    // The kernel makes sockets of its own while any process runs.
    if (BPF_CORE_READ_BITFIELD(socket, sk_kern_sock))
        return;
    struct ubf_owner_record record;
    if (!describe(bpf_get_current_task_btf(), &record))
        return;
    const __u64 cookie = bpf_get_socket_cookie(socket);
    bpf_map_update_elem(map, &cookie, &record, BPF_ANY);
}

// A process was moved to another cgroup. This program stands first, and so is attached first: no
// move is missed.
SEC("?tp_btf/cgroup_attach_task")
int BPF_PROG(on_move, struct cgroup* to, const char* path, struct task_struct* task) {
    const __u32 place = (__u32)task->tgid % UBF_RECORD_MOVES;
    const __u64 now = bpf_ktime_get_boot_ns();
    bpf_map_update_elem(&moves, &place, &now, BPF_ANY);
    return 0;
}

// If the kernel lets them be traced, these run before the socket can be reached: no packet arrives
// before the record.

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock* socket, int before, int state) {
    if (state == LISTEN) {
        tell_shared(socket);
        write_down(&listens, socket);
    } else if (state == SYN_SENT)
        write_down(&connects, socket);
    return 0;
}

// bind(), and the first datagram or connect() of a socket that nobody bound. Not every kernel lets
// its functions be traced, so this program is optional.
SEC("?fentry/udp_lib_get_port")
int BPF_PROG(on_bind, struct sock* socket) {
    write_down(&binds, socket);
    return 0;
}

static __always_inline bool differ(const struct ubf_owner_record* one,
                                   const struct ubf_owner_record* other) {
    bool differ = one->uid != other->uid || one->euid != other->euid || one->gid != other->gid ||
                  one->egid != other->egid || one->group_count != other->group_count;
    for (int i = 0; i < UBF_RECORD_GROUPS; ++i)
        differ |= one->groups[i] != other->groups[i];
    return differ;
}

// The socket behind a descriptor; 0 if it is of something else.
static __always_inline struct sock* socket_of(struct file* file) {
    struct socket* holder = file ? bpf_sock_from_file(file) : 0;
    return holder ? holder->sk : 0;
}

// Called for every descriptor of every process. If two processes of different users or groups hold
// a socket, a search must find their common groups.
SEC("iter/task_file")
int on_descriptor(struct bpf_iter__task_file* context) {
    struct task_struct* task = context->task;
    struct sock* socket = socket_of(context->file);
    if (!task || !socket)
        return 0;
    const __u16 protocol = socket->sk_protocol;
    const bool listens_tcp = protocol == TCP && socket->__sk_common.skc_state == LISTEN;
    if ((!listens_tcp && protocol != UDP) || !is_ours(socket))
        return 0;
    if (listens_tcp)
        tell_shared(socket);
    void* map = listens_tcp ? (void*)&listens : (void*)&binds;
    struct ubf_owner_record record;
    if (!describe(task, &record))
        return 0;
    const __u64 cookie = bpf_get_socket_cookie(socket);
    struct ubf_owner_record* known = bpf_map_lookup_elem(map, &cookie);
    if (!known)
        bpf_map_update_elem(map, &cookie, &record, BPF_NOEXIST);
    else if (differ(known, &record))
        known->group_count = UBF_RECORD_MISLEADS;
    else if (known->pid != record.pid)
        known->several = 1;
    return 0;
}

// The same, for ubfd's search: says who holds a socket that is sought. A table of descriptors comes
// once, however many threads share it. So this is a thread's own number where it has a table of its
// own.
SEC("iter/task_file")
int on_sought(struct bpf_iter__task_file* context) {
    struct task_struct* task = context->task;
    struct sock* socket = socket_of(context->file);
    if (!task || !socket)
        return 0;
    const __u16 family = socket->__sk_common.skc_family;
    if ((family != INET && family != INET6) || !is_ours(socket))
        return 0;
    const __u64 cookie = bpf_get_socket_cookie(socket);
    if (!bpf_map_lookup_elem(&sought, &cookie))
        return 0;
    const __s32 number = number_of(task->thread_pid);
    bpf_seq_write(context->meta->seq, &number, sizeof number);
    return 0;
}

// Only programs under the GPL may call the helpers that read the kernel's memory.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
