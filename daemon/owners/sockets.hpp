// The sockets of this node, as its gate and its ident ask for them. Tests have some in memory.
#pragma once

#include "netlink/conntrack.hpp"
#include "netlink/link.hpp"
#include "owner/lookup.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ubf {

class Sockets {
  public:
    virtual ~Sockets() = default;

    // As OwnerLookup has them.
    virtual void find(std::span<const OwnerLookup::Wanted> wanted,
                      std::vector<OwnerLookup::Ends>& ends) = 0;
    virtual OwnerLookup::Found receiver(const Flow& flow, std::uint32_t interface) = 0;
    virtual OwnerLookup::Found sender(const Flow& flow, std::uint32_t interface) = 0;
    virtual OwnerLookup::Found listener(const Endpoint& place, std::uint32_t interface) = 0;
    virtual bool is_receiver(Cookie socket, const Flow& flow, std::uint32_t interface) = 0;
    virtual std::optional<LookupError> add_sharing(SocketOwner& listener, const Flow& flow,
                                                   std::uint32_t interface) = 0;

    // The entry of a flow that this node translates (NAT).
    virtual std::optional<TrackedConnection> translated(const Flow& flow) = 0;
    virtual std::optional<Link> link(std::uint32_t interface) = 0;
    // The interface that has this address; nothing if it is not this node's.
    virtual std::optional<std::uint32_t> interface_of(const Address& address) const = 0;
    virtual std::uint32_t loopback() const = 0; // the interface
};

// One for each thread. Only translated() takes CAP_NET_ADMIN.
class KernelSockets : public Sockets {
  public:
    // Throws std::system_error.
    KernelSockets();

    void find(std::span<const OwnerLookup::Wanted> wanted,
              std::vector<OwnerLookup::Ends>& ends) override;
    OwnerLookup::Found receiver(const Flow& flow, std::uint32_t interface) override;
    OwnerLookup::Found sender(const Flow& flow, std::uint32_t interface) override;
    OwnerLookup::Found listener(const Endpoint& place, std::uint32_t interface) override;
    bool is_receiver(Cookie socket, const Flow& flow, std::uint32_t interface) override;
    std::optional<LookupError> add_sharing(SocketOwner& listener, const Flow& flow,
                                           std::uint32_t interface) override;
    std::optional<TrackedConnection> translated(const Flow& flow) override;
    std::optional<Link> link(std::uint32_t interface) override;
    std::optional<std::uint32_t> interface_of(const Address& address) const override;
    std::uint32_t loopback() const override { return loopback_; }

  private:
    const std::uint32_t loopback_;
    OwnerLookup lookup_;
    Links links_;
    Conntrack conntrack_;
};

} // namespace ubf
