// The addresses of this node.
#pragma once

#include "flow/address.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

struct OwnAddress {
    Address address;
    std::uint32_t interface;
    std::string name; // of the interface
    bool is_loopback; // the interface is
};

// The addresses in this network namespace. Asks the kernel each time; empty if the kernel does not
// answer.
std::vector<OwnAddress> own_addresses();

// Whether this is a loopback address (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). Every node owns all of
// them, though few are configured.
bool is_loopback(const Address& address);

// The interface that this address is configured on; nothing if the address is not this node's. Asks
// the kernel each time.
std::optional<std::uint32_t> interface_of(const Address& address);

// The address of this node from which a datagram to there would go. Nothing if there is no way.
std::optional<Address> source_to(const Address& target);

} // namespace ubf
