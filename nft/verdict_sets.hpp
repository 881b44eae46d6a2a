// The sets of the table in which ubfd leaves verdicts that the kernel then gives by itself
// (sets.hpp has what they are for). Their keys are exact: no two users can share one while it is
// there, but for the moment between the end of a socket and its notice.
//
// All functions return 0 or an errno: ENFILE where a set is full, ENOENT where the table isn't
// there; then nothing of the call is done. They take CAP_NET_ADMIN. One object is one thread's.
#pragma once

#include "flow/flow.hpp"
#include "nft/connection.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace ubf::nft {

// Where a TCP listener is asked for.
struct ListenerKey {
    std::uint32_t interface;
    Endpoint endpoint;

    auto operator<=>(const ListenerKey&) const = default;
};

class VerdictSets {
  public:
    // --- UDP flows of the fabric, as they come in ---
    int allow(std::span<const Flow> flows, std::chrono::seconds timeout);
    // Not any more: packets that are on their way can't bring it back. timeout: that it was allowed
    // for. Where there is no room to remember so many, none is allowed any more, and all ask again.
    int end(std::span<const Flow> flows, std::chrono::seconds timeout);
    // 0 where it is allowed still, ENOENT where not.
    int find(const Flow& flow);

    // --- UDP flows that were denied, on any interface ---
    int deny(std::span<const Flow> flows, std::chrono::seconds timeout);
    int forget_denied(const Flow& flow);

    // --- TCP listeners of exempt users ---
    // holder: whose socket it is; nobody else's may answer from there.
    int exempt(const ListenerKey& listener, Uid holder, std::chrono::seconds timeout);
    // There and on all interfaces: what answers from there is anybody's again.
    int forget_exempt(const ListenerKey& listener, Uid holder);

    // Empties them: the verdicts of another policy, or of a ubfd before us.
    int clear_allowed();
    int clear_denied();
    int clear_exempt();

  private:
    int commit(Batch& batch);
    int clear(std::initializer_list<const char*> names); // in one transaction

    Connection connection_;
};

} // namespace ubf::nft
