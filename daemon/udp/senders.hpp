// The kernel lets a user send UDP only under an address at which the same socket gets the answers,
// unless ubfd judges the answers (bpf/udp_senders.bpf.c). Else an answer from outside, or from an
// exempt port, would reach another user who has not asked. If the kernel takes no such programs, or
// ubfd is built without them, such datagrams are sent.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "config/scope.hpp"
#include "flow/address.hpp"
#include "flow/flow.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

struct ring_buffer;
struct udp_senders_bpf; // made by bpftool

namespace ubf {

class UdpSenders {
  public:
    static constexpr std::size_t families = 2; // IPv4, IPv6
    using Links = std::array<UniqueFd, families>;
    // Keeps the programs attached while we restart, or are dead.
    using Keep = std::function<void(std::size_t family, int link)>;
    // Told of a datagram that was refused, with its user; of very many, not of all.
    using Told = std::function<void(const Flow& flow, Uid user)>;

    // Loads and attaches the programs, if they are wanted and can be. Takes CAP_BPF, CAP_PERFMON
    // and CAP_NET_ADMIN. cgroup: the root of version 2; -1: there is none. kept: a predecessor's
    // links.
    UdpSenders(const Config& config, const Scope& scope, int cgroup, Links kept, const Keep& keep);

    // From now on, ubfd judges this, and the kernel the rest.
    void set(const Config& config, const Scope& scope);
    // Calls take() when the descriptor is readable; -1: never.
    int fd() const;
    void take(const Told& told);

    std::string state() const; // "in use", or why not
    std::uint64_t refused() const;

    struct Unload {
        void operator()(udp_senders_bpf* programs) const;
    };
    struct Free {
        void operator()(ring_buffer* reports) const;
    };

  private:
    struct Peer {
        unsigned length; // of the mapped prefix
        Address first;
        auto operator<=>(const Peer&) const = default;
    };
    using Peers = std::map<Peer, std::uint8_t>; // where they are judged

    std::string load(const Config& config, const Scope& scope, int cgroup);
    std::string attach(int cgroup, Links kept, const Keep& keep);
    void set_peers(Peers fresh);

    const Told* told_ = nullptr; // while reports are taken
    Peers peers_;                // that the kernel knows
    std::unique_ptr<udp_senders_bpf, Unload> programs_;
    std::unique_ptr<ring_buffer, Free> reports_;
    Links links_{};
    std::string why_not_;
};

} // namespace ubf
