// The kernel hands the datagrams of an allowed UDP flow only to the user for whom it was allowed
// (bpf/udp_receivers.bpf.c), even if another user has the port by then. If the kernel takes no such
// program, or ubfd is built without it, the flow ends when ubfd hears that the socket was closed.
// Until then, datagrams go to the next owner of its port.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"
#include "flow/flow.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

struct udp_receivers_bpf; // made by bpftool

namespace ubf {

class UdpReceivers {
  public:
    // Keeps the program attached while we restart, or are dead; -1: it need not be kept. Called on
    // any thread.
    using Keep = std::function<void(int link)>;

    // Loads the programs, if they are wanted and can be. Takes CAP_BPF, CAP_PERFMON and
    // CAP_NET_ADMIN, and after that the last alone. cgroup: the root of version 2, which must stay
    // open; -1: there is none. kept: a predecessor's link.
    UdpReceivers(bool wanted, int cgroup, UniqueFd kept, Keep keep);

    // While the site only observes, flows that begin are not bound.
    void observe(bool yes) { observes_ = yes; }
    // To be called before the flow is allowed: its datagrams go to this user alone. False if the
    // kernel has no room.
    bool bind(const Flow& flow, Uid user);
    // To be called when the flow is not allowed any more.
    void release(const Flow& flow, Uid user);
    // To be called from time to time. Detaches the program a while after the last flow was
    // released.
    void look(TimePoint now);

    // "in use", or why not. Any thread may call this and observe(), but nothing else here.
    std::string state() const;

    struct Unload {
        void operator()(udp_receivers_bpf* program) const;
    };
    // The counts of all ports, in memory that the kernel reads.
    struct Unmap {
        void operator()(std::uint64_t* users) const;
    };

  private:
    std::string load();
    bool attach();
    void tell(Port port);

    static constexpr std::chrono::seconds a_while{60};

    std::unique_ptr<udp_receivers_bpf, Unload> program_;
    std::unique_ptr<std::uint64_t, Unmap> ports_;
    // How many flows go to a port, by user.
    std::unordered_map<Port, std::map<Uid, std::size_t>> users_;
    const int cgroup_;
    const Keep keep_;
    UniqueFd link_; // of the attached program
    bool is_ours_ = false;
    TimePoint used_{}; // last
    std::string why_not_;
    std::atomic<bool> observes_{false};
    std::atomic<bool> failed_{false}; // to attach the program
};

} // namespace ubf
