// The place where the kernel keeps the verdict on a UDP flow.
#pragma once

#include "daemon/udp/lately_sent.hpp"
#include "flow/flow.hpp"
#include "netlink/conntrack.hpp"
#include "nft/verdict_sets.hpp"

#include <cerrno>
#include <cstdint>

namespace ubf {

// The set of the kernel that gives a verdict.
enum class Keeper : std::uint8_t {
    ethernet, // allowed
    fabric,   // allowed there
    denied,
    count_,
};

// One object is one thread's; it takes CAP_NET_ADMIN. Functions return 0 or an errno.
class UdpVerdicts {
  public:
    UdpVerdicts(nft::Connection& table, LatelySent& lately_sent)
      : lately_sent_(lately_sent)
      , sets_(table) {}

    // 0 if packets of an allowed flow came lately, by conntrack or the fabric's set; ENOENT if none
    // did.
    int find_use(const Flow& flow, Keeper keeper) {
        return keeper == Keeper::ethernet ? conntrack_.find(flow) : sets_.find_seen(flow);
    }

    // 0 once the kernel has no such verdict, for whatever reason.
    int forget(const Flow& flow, Keeper keeper) {
        switch (keeper) {
        case Keeper::ethernet: {
            const int error = gone(sets_.end(nft::Network::ethernet, flow));
            if (conntrack_.has_passed(flow.reversed()).value_or(false))
                lately_sent_.add(flow.reversed());
            // conntrack knows which end began, and nobody may inherit that either.
            const int tracked = gone(conntrack_.forget(flow));
            return error != 0 ? error : tracked;
        }
        case Keeper::fabric:
            if (sets_.find_sent(flow.reversed()) == 0)
                lately_sent_.add(flow.reversed());
            return gone(sets_.end(nft::Network::fabric, flow));
        case Keeper::denied:
            return gone(sets_.forget_denied(flow));
        case Keeper::count_:
            break;
        }
        return 0;
    }

    // Everything that a predecessor, or another policy, has left. The table need not be there yet.
    int forget_all() {
        const int allowed = gone(sets_.clear_allowed());
        const int denied = gone(sets_.clear_denied());
        return allowed != 0 ? allowed : denied;
    }

  private:
    static int gone(int error) { return error == ENOENT ? 0 : error; }

    LatelySent& lately_sent_;
    Conntrack conntrack_;
    nft::VerdictSets sets_;
};

} // namespace ubf
