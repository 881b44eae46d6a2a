#include "owner/sharing.hpp"

namespace ubf {
namespace {

constexpr std::uint32_t loopback = 1; // LOOPBACK_IFINDEX, include/net/flow.h

bool is_any(const Address& address) {
    static const auto any_v4 = *Address::parse("0.0.0.0");
    return address == Address{} || address == any_v4;
}

bool takes_family_of(const BoundSocket& socket, const Address& address) {
    return address.is_v4() ? !socket.v6 || !socket.v6_only : socket.v6;
}

bool is_at(const BoundSocket& socket, const Address& address) {
    if (socket.local.address == address)
        return true;
    // 0.0.0.0 never stands for IPv6 addresses, even if an IPv6 socket is bound to it.
    const bool any_of_family = socket.local.address == Address{} || address.is_v4();
    return is_any(socket.local.address) && any_of_family && takes_family_of(socket, address);
}

bool hears(const BoundSocket& socket, const Endpoint& sender) {
    const auto& [address, port] = socket.remote;
    return (is_any(address) || address == sender.address) && (port == 0 || port == sender.port);
}

} // namespace

bool could_receive(const BoundSocket& socket, const Flow& flow, std::uint32_t interface) {
    return socket.local.port == flow.destination.port && is_at(socket, flow.destination.address) &&
           hears(socket, flow.source) &&
           (socket.socket.interface == 0 || socket.socket.interface == interface);
}

bool is_connected_to(const BoundSocket& socket, const Endpoint& sender) {
    return socket.remote == sender;
}

bool could_send(const BoundSocket& socket, const Flow& flow, std::uint32_t interface) {
    const auto bound_to = socket.socket.interface;
    const bool passes = flow.source.address.is_v4() || bound_to == 0 ||
                        (bound_to == loopback) == (interface == loopback);
    return socket.local.port == flow.source.port && passes &&
           takes_family_of(socket, flow.source.address);
}

} // namespace ubf
