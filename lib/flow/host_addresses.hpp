// The addresses of a host that has a name. Waits for NSS, which may hang.
#pragma once

#include "flow/address.hpp"

#include <string>
#include <vector>

namespace ubf {

// In the order of getaddrinfo(3), without those that come twice; empty if the name is not known.
// flags: AI_*.
std::vector<Address> host_addresses(const std::string& name, int flags = 0);
// The same, each as a range of one address.
std::vector<Prefix> host_places(const std::string& name);

} // namespace ubf
