// The verdicts that the kernel keeps for the gate: allowed flows, denied ones, exempt listeners.
// Tests have a kernel in memory.
//
// A TCP connection ends by its socket on this node; a UDP flow, by the verdict that the kernel
// keeps (udp_flows.hpp).
#pragma once

#include "daemon/gate/allowed_flows.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "netlink/sock_diag.hpp"
#include "nft/verdict_sets.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ubf {

class ExemptListeners;

class KeptVerdicts {
  public:
    using Lease = UdpFlows::Lease;

    virtual ~KeptVerdicts() = default;

    // --- UDP: as UdpFlows has it ---
    virtual std::optional<Lease> allow(const Flow& flow, Keeper keeper,
                                       const UdpFlows::Ends& ends) = 0;
    virtual std::optional<Lease> deny(const Flow& flow, const Owner& source,
                                      const UdpFlows::Ends& ends) = 0;
    virtual bool confirm(const Flow& flow, Keeper keeper, Lease lease) = 0;
    // Into the sets: as nft::VerdictSets has it.
    virtual int write_allowed(nft::Network network, std::span<const Flow> flows) = 0;
    virtual int write_renewed(nft::Network network, std::span<const Flow> flows) = 0;
    virtual int write_denied(std::span<const Flow> flows) = 0;

    // --- allowed flows ---
    // over: for certain. A TCP connection whose handshake takes its time may look so, too.
    enum class State : std::uint8_t { there, over, not_known };
    virtual State state(const AllowedFlow& allowed) = 0;
    // The owner of the socket sees ECONNABORTED and the other end a reset; of UDP, the next
    // datagram is decided as the first one was. 0, ENOENT where it is over already, or another
    // errno as SockDiag::destroy() has it.
    virtual int end(const AllowedFlow& allowed) = 0;

    // --- listeners of exempt users ---
    virtual void exempt(const nft::ListenerKey& place, Cookie listener, Uid holder) = 0;
    // The policy is another: exempt listeners and denied flows are decided again.
    virtual void forget_policy() = 0;
};

// The parts that all threads share, by which the kernel is told.
struct Kernel {
    nft::Connection& table;
    UdpFlows& udp_flows;
    ExemptListeners& exempt_listeners;
};

// One for each thread. Takes CAP_NET_ADMIN.
class KernelVerdicts final : public KeptVerdicts {
  public:
    explicit KernelVerdicts(Kernel kernel)
      : udp_flows_(kernel.udp_flows)
      , exempt_listeners_(kernel.exempt_listeners)
      , sets_(kernel.table) {}

    std::optional<Lease> allow(const Flow& flow, Keeper keeper,
                               const UdpFlows::Ends& ends) override;
    std::optional<Lease> deny(const Flow& flow, const Owner& source,
                              const UdpFlows::Ends& ends) override;
    bool confirm(const Flow& flow, Keeper keeper, Lease lease) override;
    int write_allowed(nft::Network network, std::span<const Flow> flows) override;
    int write_renewed(nft::Network network, std::span<const Flow> flows) override;
    int write_denied(std::span<const Flow> flows) override;
    State state(const AllowedFlow& allowed) override;
    int end(const AllowedFlow& allowed) override;
    void exempt(const nft::ListenerKey& place, Cookie listener, Uid holder) override;
    void forget_policy() override;

  private:
    Result<SocketInfo, int> connection(const AllowedFlow& allowed);

    UdpFlows& udp_flows_;
    ExemptListeners& exempt_listeners_;
    nft::VerdictSets sets_;
    SockDiag sockets_;
};

} // namespace ubf
