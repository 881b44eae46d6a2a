// The sets in which ubfd leaves verdicts, which the kernel then applies by itself (see sets.hpp).
// Their keys are exact: two users never share one. The only exception is the moment between the end
// of a socket and its notice.
//
// All functions return 0 or an errno: ENFILE if a set is full, ENOENT if the table isn't there;
// then nothing of the call is done. They need CAP_NET_ADMIN. Any thread may call them.
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

// The place where a TCP listener is addressed.
struct ListenerKey {
    std::uint32_t interface;
    Endpoint endpoint;

    auto operator<=>(const ListenerKey&) const = default;
};

// The network where the packets of a UDP flow come in. If a flow is allowed on one network, it is
// still asked about on the other.
enum class Network : std::uint8_t { ethernet, fabric };

class VerdictSets {
  public:
    // table: the connection that all writers of the table share. It must outlive the VerdictSets.
    explicit VerdictSets(Connection& table)
      : connection_(table) {}

    // --- UDP flows, as they come in; each is allowed for one lease (udp_lease in sets.hpp) ---
    int allow(Network network, std::span<const Flow> flows);
    // Gives one more lease, from now on, even to a flow whose lease has expired.
    int renew(Network network, std::span<const Flow> flows);
    // Ends the permission. On the fabric, the flow no longer counts as an answer either.
    int end(Network network, const Flow& flow);

    // --- the fabric, where nothing is tracked ---
    // 0 if packets of this allowed flow came a while ago, ENOENT if none did.
    int find_seen(const Flow& flow);
    // 0 if this node has sent a datagram of this flow a while ago, ENOENT if not.
    int find_sent(const Flow& flow);

    // These, as this node has sent them, can't be answered any more.
    int forget_sent(std::span<const Flow> flows);

    // --- UDP flows that were denied, on any interface ---
    int deny(std::span<const Flow> flows, std::chrono::seconds timeout);
    int forget_denied(const Flow& flow);

    // --- TCP listeners of exempt users ---
    // holder: the user of the listener's socket. No other user's socket may answer from there.
    int exempt(const ListenerKey& listener, Uid holder, std::chrono::seconds timeout);
    // Ends the exemption there. On all interfaces, any user's socket may answer from there again.
    int forget_exempt(const ListenerKey& listener, Uid holder);

    // --- connections that the kernel recognises ---
    // Sets the only priority of recognised packets from now on; nothing: none is recognised.
    int recognise(std::optional<std::uint32_t> priority);
    // 0 if the set still has it; ENOENT if another program has removed it.
    int find_recognised(std::uint32_t priority);

    // Empties the sets: they hold verdicts of another policy, or of a predecessor.
    int clear_allowed();
    int clear_denied();
    int clear_exempt();
    // The counts of the limit of new connections, which would go on with an older limit.
    int clear_limited();

  private:
    int commit(Batch& batch);
    int find(const char* set, const Flow& flow);
    static void clear(Batch& batch, const std::string& set);
    int clear(std::initializer_list<const char*> names); // in one transaction

    Connection& connection_;
};

} // namespace ubf::nft
