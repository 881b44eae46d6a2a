// Where the kernel keeps the verdict on a UDP flow.
#pragma once

#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"
#include "nft/verdict_sets.hpp"

#include <chrono>
#include <cstdint>

namespace ubf {

// Who of the kernel gives a verdict.
enum class Keeper : std::uint8_t {
    conntrack, // allowed: our mark on the connection
    fabric,    // allowed: an element of the fabric's set
    denied,    // an element of the set of denied flows
    count_,
};

// One object is one thread's; it takes CAP_NET_ADMIN. Functions return 0 or an errno.
class UdpVerdicts {
  public:
    explicit UdpVerdicts(nft::Connection& table)
      : sets_(table) {}

    // ENOENT where the kernel has it no more.
    int find(const Flow& flow, Keeper keeper) {
        return keeper == Keeper::conntrack ? conntrack_.find(flow) : sets_.find(flow);
    }

    // udp_timeout: of the fabric's.
    int forget(const Flow& flow, Keeper keeper, std::chrono::seconds udp_timeout) {
        switch (keeper) {
        case Keeper::conntrack:
            return conntrack_.forget(flow);
        case Keeper::fabric:
            return sets_.end(std::span(&flow, 1), udp_timeout);
        case Keeper::denied:
            return sets_.forget_denied(flow);
        case Keeper::count_:
            break;
        }
        return 0;
    }

    // Everything that a ubfd before us, or another policy, has left.
    int forget_all(std::uint32_t mark, std::uint32_t mask) {
        const int error = conntrack_.forget_marked(mark, mask);
        sets_.clear_allowed(); // the table need not be there yet
        sets_.clear_denied();
        return error;
    }

  private:
    Conntrack conntrack_;
    nft::VerdictSets sets_;
};

} // namespace ubf
