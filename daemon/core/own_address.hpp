// The addresses of this node.
#pragma once

#include "flow/address.hpp"

#include <cstdint>
#include <optional>

namespace ubf {

// The interface that this address is configured on; nothing where it is not this node's. Asks the
// kernel each time.
std::optional<std::uint32_t> interface_of(const Address& address);

} // namespace ubf
