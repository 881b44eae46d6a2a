// Addresses between ours and the kernel's (ip(7), ipv6(7)).
#pragma once

#include "flow/address.hpp"

#include <optional>
#include <sys/socket.h>

namespace ubf {

struct SocketAddress {
    sockaddr_storage storage{}; // of AF_INET or AF_INET6
    socklen_t length = 0;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};
SocketAddress to_socket_address(const Endpoint& endpoint);

// Nothing if it is of another family, or nullptr.
std::optional<Address> address_of(const sockaddr* address);

} // namespace ubf
