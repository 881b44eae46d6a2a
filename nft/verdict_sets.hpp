// The sets of the table in which ubfd leaves verdicts that the kernel then gives by itself
// (sets.hpp has what they are for). Their keys are exact: no two users can share one while it is
// there, but for the moment between the end of a socket and its notice.
//
// All functions return 0 or an errno: ENFILE where a set is full, ENOENT where the table isn't
// there; then nothing of the call is done. They take CAP_NET_ADMIN. Any thread may call them.
#pragma once

#include "flow/flow.hpp"
#include "nft/connection.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

namespace ubf::nft {

// Where a TCP listener is asked for.
struct ListenerKey {
    std::uint32_t interface;
    Endpoint endpoint;

    auto operator<=>(const ListenerKey&) const = default;
};

// Where the packets of a UDP flow come in. What is allowed on one network is asked about on the
// other.
enum class Network : std::uint8_t { ethernet, fabric };

class VerdictSets {
  public:
    // table: the socket that all share who write into the table; it must outlive this.
    explicit VerdictSets(Connection& table)
      : connection_(table) {}

    // --- UDP flows, as they come in; each is allowed for one lease (udp_lease in sets.hpp) ---
    int allow(Network network, std::span<const Flow> flows);
    // One more lease, from now on. A flow whose lease has ended is allowed again.
    int renew(Network network, std::span<const Flow> flows);
    // Not any more. What it answered of the fabric's, it doesn't answer any more either.
    int end(Network network, const Flow& flow);

    // --- the fabric, where nothing is tracked ---
    // 0 where packets of this allowed flow came a while ago, ENOENT where none did.
    int find_seen(const Flow& flow);
    // 0 where this node has sent a datagram of this flow a while ago, ENOENT where not.
    int find_sent(const Flow& flow);

    // --- UDP flows that were denied, on any interface ---
    int deny(std::span<const Flow> flows, std::chrono::seconds timeout);
    int forget_denied(const Flow& flow);

    // --- TCP listeners of exempt users ---
    // holder: whose socket it is; nobody else's may answer from there.
    int exempt(const ListenerKey& listener, Uid holder, std::chrono::seconds timeout);
    // There and on all interfaces: what answers from there is anybody's again.
    int forget_exempt(const ListenerKey& listener, Uid holder);

    // --- connections that the kernel recognises ---
    // The priority that their packets have from now on, and no other; nothing: none is recognised.
    int recognise(std::optional<std::uint32_t> priority);
    // 0 where they still have it; ENOENT where somebody has taken it out.
    int find_recognised(std::uint32_t priority);

    // Empties them: the verdicts of another policy, or of a ubfd before us.
    int clear_allowed();
    int clear_denied();
    int clear_exempt();

  private:
    int commit(Batch& batch);
    int find(const char* set, const Flow& flow);
    static void clear(Batch& batch, const std::string& set);
    int clear(std::initializer_list<const char*> names); // in one transaction

    Connection& connection_;
};

} // namespace ubf::nft
