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

// The interface that this address is configured on; nothing where it is not this node's. Asks the
// kernel each time.
std::optional<std::uint32_t> interface_of(const Address& address);

} // namespace ubf
