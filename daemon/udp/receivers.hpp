// The kernel hands the datagrams of an allowed UDP flow to nobody but the user for whom it was
// allowed (bpf/udp_receivers.bpf.c), whoever has the port by then. Where the kernel takes no such
// program, or ubfd is built without it, that user's socket is all that the flow waits for: until
// its end is heard of, they go to whoever has its port next.
#pragma once

#include "base/types.hpp"
#include "flow/flow.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

struct udp_receivers_bpf; // made by bpftool

namespace ubf {

class UdpReceivers {
  public:
    // Loads the programs, where they are wanted and can be. Takes CAP_BPF, CAP_PERFMON and
    // CAP_NET_ADMIN, which nothing needs after that. cgroup: of the root of version 2; -1: there
    // is none.
    UdpReceivers(bool wanted, int cgroup);

    // Before the flow is allowed: its datagrams are this user's. False where the kernel has no
    // room.
    bool bind(const Flow& flow, Uid user);
    // When it is not any more.
    void release(const Flow& flow, Uid user);

    // "in use", or why not.
    const std::string& state() const { return state_; }

    struct Unload {
        void operator()(udp_receivers_bpf* program) const;
    };
    // Of all ports, where the kernel reads.
    struct Unmap {
        void operator()(std::uint64_t* users) const;
    };

  private:
    std::string load(int cgroup);
    void tell(Port port);

    std::unique_ptr<udp_receivers_bpf, Unload> program_;
    std::unique_ptr<std::uint64_t, Unmap> ports_;
    // How many flows go to a port, by user.
    std::unordered_map<Port, std::map<Uid, std::size_t>> users_;
    std::string state_;
};

} // namespace ubf
