// The processes that made a socket listen, connect or take a UDP port, as a program of ours in the
// kernel recorded them at that moment (bpf/owner_records.bpf.c). A question takes one read of a
// map, whatever is on the node. The record of an older socket names its holder when ubfd started.
// If the kernel takes no such program, or ubfd is built without it, there are no records.
#pragma once

#include "base/clock.hpp"
#include "base/types.hpp"
#include "daemon/owners/cgroup_paths.hpp"
#include "daemon/owners/owner_record.hpp"
#include "ident/wire.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct owner_records_bpf; // made by bpftool

namespace ubf {

class OwnerRecords {
  public:
    // Loads the program, if it is wanted and the kernel takes it. Takes CAP_BPF and CAP_PERFMON,
    // but only here. cgroups: the roots below which a record names the cgroups of its process;
    // none: records have no cgroups.
    OwnerRecords(bool wanted, std::optional<CgroupRoots> cgroups);

    // Never waits. Any thread may ask.
    std::optional<ubf_owner_record> find(Cookie cookie, ident::Role role) const;

    // Whether the record has cgroups, and they are not stale: the process was not moved since, as
    // far as is known.
    bool has_cgroups(const ubf_owner_record& record) const;

    // Whether listeners of this TCP port may share it with others (SO_REUSEPORT). True if that is
    // not known.
    bool may_share(Port port) const;

    // All tasks that hold one of these sockets: processes, and threads with descriptors of their
    // own; 0 for each that ubfd does not see. The kernel looks through all descriptors by itself,
    // which takes a twentieth of the time that /proc takes. Nothing if it can't, or not by then.
    std::optional<std::vector<Pid>> holders(std::span<const Cookie> sockets, TimePoint until) const;

    bool in_use() const { return program_ != nullptr; }
    // "in use", perhaps with a part that is not; or why not.
    const std::string& state() const { return state_; }

    struct Unload {
        void operator()(owner_records_bpf* program) const;
    };

    // 65,536 numbers, in memory that the kernel writes.
    struct Unmap {
        void operator()(const std::uint64_t* numbers) const;
    };
    using Numbers = std::unique_ptr<const std::uint64_t, Unmap>;

  private:
    std::unique_ptr<owner_records_bpf, Unload> program_;
    mutable std::mutex looking_; // one search at a time uses the map of what is sought
    Numbers moves_;              // times of moves, by place
    Numbers shared_ports_;
    std::string state_;
};

} // namespace ubf
