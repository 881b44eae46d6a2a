#include "daemon/owners/sockets.hpp"

#include "flow/own_address.hpp"

#include <net/if.h>

namespace ubf {

KernelSockets::KernelSockets()
  : loopback_(::if_nametoindex("lo")) {}

void KernelSockets::find(std::span<const OwnerLookup::Wanted> wanted,
                         std::vector<OwnerLookup::Ends>& ends) {
    lookup_.find(wanted, ends);
}

OwnerLookup::Found KernelSockets::receiver(const Flow& flow, std::uint32_t interface) {
    return lookup_.receiver(flow, interface);
}

OwnerLookup::Found KernelSockets::sender(const Flow& flow, std::uint32_t interface) {
    return lookup_.sender(flow, interface);
}

OwnerLookup::Found KernelSockets::listener(const Endpoint& place, std::uint32_t interface) {
    return lookup_.listener(place, interface);
}

bool KernelSockets::is_receiver(Cookie socket, const Flow& flow, std::uint32_t interface) {
    return lookup_.is_receiver(socket, flow, interface);
}

std::optional<LookupError> KernelSockets::add_sharing(SocketOwner& listener, const Flow& flow,
                                                      std::uint32_t interface) {
    return lookup_.add_sharing(listener, flow, interface);
}

std::optional<TrackedConnection> KernelSockets::translated(const Flow& flow) {
    const auto tracked = conntrack_.get(flow);
    return tracked && tracked->translated ? std::optional(*tracked) : std::nullopt;
}

std::optional<Link> KernelSockets::link(std::uint32_t interface) {
    const auto found = links_.find(interface);
    return found ? std::optional(*found) : std::nullopt;
}

std::optional<std::uint32_t> KernelSockets::interface_of(const Address& address) const {
    return ubf::interface_of(address);
}

} // namespace ubf
