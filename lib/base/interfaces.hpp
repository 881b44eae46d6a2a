// The network interfaces of this node.
#pragma once

#include <string>
#include <vector>

namespace ubf {

// The names in this network namespace. Asks the kernel each time; empty if the kernel does not
// answer.
std::vector<std::string> interface_names();

} // namespace ubf
