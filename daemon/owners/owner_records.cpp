#include "daemon/owners/owner_records.hpp"

#include "base/unique_fd.hpp"
#include "daemon/core/bpf_programs.hpp"
#include "owner_records.skel.h"

#include <algorithm>
#include <array>
#include <bpf/bpf.h>
#include <cerrno>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

namespace ubf {
namespace {

std::optional<ubf_owner_record> read(const bpf_map* map, Cookie cookie) {
    ubf_owner_record record;
    if (::bpf_map_lookup_elem(::bpf_map__fd(map), &cookie, &record) != 0)
        return std::nullopt;
    return record;
}

std::string not_in_use(const char* what, int error) {
    return "not in use: " + failure_of(what, error,
                                       "CAP_BPF and CAP_PERFMON, and a kernel that lets programs "
                                       "trace it");
}

using Program = std::unique_ptr<owner_records_bpf, OwnerRecords::Unload>;

// A job may have 100,000 connections on a node. If the node has less than 16 GiB of memory, the map
// has room for fewer.
std::uint32_t most_connects(std::uint32_t least) {
    constexpr std::uint64_t memory_for_each = 128 << 10;
    constexpr std::uint64_t most = 131072;
    struct sysinfo memory {};
    ::sysinfo(&memory);
    return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
        std::uint64_t{memory.totalram} * memory.mem_unit / memory_for_each, least, most));
}

// 0, or an errno.
int load(Program& program, bool udp, const std::optional<CgroupRoots>& cgroups) {
    program.reset(::owner_records_bpf__open());
    if (!program)
        return errno;
    ::bpf_program__set_autoload(program->progs.on_bind, udp);
    ::bpf_program__set_autoload(program->progs.on_move, cgroups.has_value());
    auto* connects = program->maps.connects;
    ::bpf_map__set_max_entries(connects, most_connects(::bpf_map__max_entries(connects)));
    program->rodata->wants_cgroups = cgroups.has_value();
    if (cgroups) {
        program->rodata->root_v1 = cgroups->v1;
        program->rodata->root_v2 = cgroups->v2;
    }
    program->rodata->pid_namespace = inode_of("/proc/self/ns/pid");
    program->rodata->net_namespace = inode_of("/proc/self/ns/net");
    return -::owner_records_bpf__load(program.get());
}

// Reading the iterator runs it, and `take` gets each number that it writes. The kernel gives the
// CPU away after a million descriptors, at the latest. 0, or an errno.
template<typename Take>
int run(const bpf_link* link, TimePoint until, Take take) {
    const UniqueFd iterator(::bpf_iter_create(::bpf_link__fd(link)));
    if (!iterator)
        return errno;
    std::array<std::int32_t, 256> numbers;
    while (true) {
        const auto length = ::read(iterator.get(), numbers.data(), sizeof numbers);
        if (length == 0)
            return 0;
        if (length < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        if (Clock::now() > until)
            return ETIMEDOUT;
        for (std::size_t i = 0;
             length > 0 && i < static_cast<std::size_t>(length) / sizeof numbers[0]; ++i)
            take(numbers[i]);
    }
}

// Records the holders of the sockets that are there already. It has no output.
int write_down_holders(const owner_records_bpf& program) {
    return run(program.links.on_descriptor, TimePoint::max(), [](std::int32_t) {});
}

// The sockets that are sought, as long as this lives.
class Seeking {
  public:
    Seeking(int map, std::span<const Cookie> sockets)
      : map_(map) {
        for (const auto cookie : sockets) {
            const std::uint64_t yes = 1;
            if (::bpf_map_update_elem(map_, &cookie, &yes, BPF_ANY) != 0)
                return;
            put_.push_back(cookie);
        }
        has_all_ = true;
    }
    ~Seeking() {
        for (const auto cookie : put_)
            ::bpf_map_delete_elem(map_, &cookie);
    }
    Seeking(const Seeking&) = delete;
    Seeking& operator=(const Seeking&) = delete;

    bool has_all() const { return has_all_; }

  private:
    int map_;
    std::vector<Cookie> put_;
    bool has_all_ = false;
};

constexpr std::size_t numbers_size = UBF_RECORD_MOVES * sizeof(std::uint64_t);
static_assert(UBF_RECORD_MOVES == UBF_RECORD_PORTS);

// None where it can't be mapped.
OwnerRecords::Numbers map_numbers(const bpf_map* map) {
    auto* mapped = ::mmap(nullptr, numbers_size, PROT_READ, MAP_SHARED, ::bpf_map__fd(map), 0);
    return OwnerRecords::Numbers(mapped == MAP_FAILED ? nullptr
                                                      : static_cast<const std::uint64_t*>(mapped));
}

} // namespace

void OwnerRecords::Unmap::operator()(const std::uint64_t* numbers) const {
    ::munmap(const_cast<std::uint64_t*>(numbers), numbers_size);
}

void OwnerRecords::Unload::operator()(owner_records_bpf* program) const {
    ::owner_records_bpf__destroy(program);
}

OwnerRecords::OwnerRecords(bool wanted, std::optional<CgroupRoots> cgroups) {
    if (!wanted) {
        state_ = "not in use: owners.bpf is false";
        return;
    }
    if (!kernel_has_types()) {
        state_ = fmt::format("not in use: {}", needs_types);
        return;
    }
    ::libbpf_set_print(nullptr); // state_ says it
    Program program;
    int error = load(program, true, cgroups);
    const bool udp = error != EPERM;
    if (!udp)
        error = load(program, false, cgroups);
    if (error != 0) {
        state_ = not_in_use("loading the BPF program", error);
    } else if (const int attached = ::owner_records_bpf__attach(program.get()); attached != 0) {
        state_ = not_in_use("attaching the BPF program", -attached);
    } else if (const int read = write_down_holders(*program); read != 0) {
        state_ = not_in_use("looking at the sockets that are open", read);
    } else if (!can_be_used_without_privileges(::bpf_map__fd(program->maps.listens))) {
        state_ = fmt::format("not in use: {}", needs_privileges);
    } else {
        state_ = udp ? "in use" : "in use for TCP; this kernel does not let UDP be traced";
        program_ = std::move(program);
        shared_ports_ = map_numbers(program_->maps.shared_ports);
        if (cgroups)
            moves_ = map_numbers(program_->maps.moves);
    }
    ::malloc_trim(0); // libbpf took megabytes to read the kernel's types, and needs them no more
}

bool OwnerRecords::may_share(Port port) const {
    if (!shared_ports_)
        return true;
    const volatile auto& shared = shared_ports_.get()[port]; // the kernel writes it at any time
    return shared != 0;
}

bool OwnerRecords::has_cgroups(const ubf_owner_record& record) const {
    if (!moves_ || record.cgroup_v1 == UBF_RECORD_NO_CGROUP)
        return false;
    // Volatile: the kernel writes it at any time, so it is read once, and from memory.
    const volatile auto& moved = moves_.get()[record.place % UBF_RECORD_MOVES];
    return moved < record.time;
}

std::optional<ubf_owner_record> OwnerRecords::find(Cookie cookie, ident::Role role) const {
    if (!program_)
        return std::nullopt;
    const auto& maps = program_->maps;
    const auto tcp = read(role == ident::Role::listener ? maps.listens : maps.connects, cookie);
    return tcp ? tcp : read(maps.binds, cookie);
}

std::optional<std::vector<Pid>> OwnerRecords::holders(std::span<const Cookie> sockets,
                                                      TimePoint until) const {
    if (!program_)
        return std::nullopt;
    const std::scoped_lock alone(looking_);
    const Seeking seeking(::bpf_map__fd(program_->maps.sought), sockets);
    std::vector<Pid> tasks;
    const auto take = [&](std::int32_t number) { tasks.push_back(Pid{number}); };
    if (!seeking.has_all() || run(program_->links.on_sought, until, take) != 0)
        return std::nullopt;
    return tasks;
}

} // namespace ubf
