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

// Of this network namespace. Asks the kernel each time; empty where it does not answer.
std::vector<OwnAddress> own_addresses();

// Of the addresses by which a node speaks to itself (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3): each
// node's own, though it has hardly any of them configured.
bool is_loopback(const Address& address);

// The interface that this address is configured on; nothing where it is not this node's. Asks the
// kernel each time.
std::optional<std::uint32_t> interface_of(const Address& address);

} // namespace ubf
