#include "daemon/owners/owner_records.hpp"

#include "daemon/core/thread.hpp"
#include "owner_records.skel.h"

#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <thread>

namespace ubf {
namespace {

std::optional<ubf_owner_record> read(const bpf_map* map, Cookie cookie) {
    ubf_owner_record record;
    if (::bpf_map_lookup_elem(::bpf_map__fd(map), &cookie, &record) != 0)
        return std::nullopt;
    return record;
}

// Since Linux 5.19 who has the map may read it (kernel/bpf/syscall.c, c8644cd0efe7); before, it
// takes CAP_BPF where kernel.unprivileged_bpf_disabled is set, and no thread of ours keeps that.
bool can_be_read_without_privileges(const bpf_map* map) {
    bool readable = false;
    std::thread([&] {
        enter_thread("records");
        readable = read(map, Cookie{0}) || errno == ENOENT;
    }).join();
    return readable;
}

std::string not_in_use(const char* what, int error) {
    if (error == EPERM)
        return fmt::format("not in use: {} is not permitted; it takes CAP_BPF and CAP_PERFMON, and "
                           "a kernel that lets programs trace it",
                           what);
    return fmt::format("not in use: {} failed: {}; it takes Linux 5.19 or later", what,
                       std::strerror(error));
}

} // namespace

void OwnerRecords::Unload::operator()(owner_records_bpf* program) const {
    ::owner_records_bpf__destroy(program);
}

OwnerRecords::OwnerRecords(bool wanted) {
    if (!wanted) {
        state_ = "not in use: owners.bpf is false";
        return;
    }
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
        state_ = "not in use: the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)";
        return;
    }
    ::libbpf_set_print(nullptr); // state_ says it
    decltype(program_) program(::owner_records_bpf__open());
    if (!program) {
        state_ = not_in_use("opening the BPF program", errno);
    } else if (const int loaded = ::owner_records_bpf__load(program.get()); loaded != 0) {
        state_ = not_in_use("loading the BPF program", -loaded);
    } else if (const int attached = ::owner_records_bpf__attach(program.get()); attached != 0) {
        state_ = not_in_use("attaching the BPF program", -attached);
    } else if (!can_be_read_without_privileges(program->maps.listens)) {
        state_ = "not in use: before Linux 5.19, reading takes CAP_BPF for as long as ubfd runs, "
                 "while kernel.unprivileged_bpf_disabled is not 0";
    } else {
        state_ = "in use";
        program_ = std::move(program);
    }
}

std::optional<ubf_owner_record> OwnerRecords::find(Cookie cookie, ident::Role role) const {
    if (!program_)
        return std::nullopt;
    const auto& maps = program_->maps;
    const auto tcp = read(role == ident::Role::listener ? maps.listens : maps.connects, cookie);
    return tcp ? tcp : read(maps.binds, cookie);
}

} // namespace ubf
