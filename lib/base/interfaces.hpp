// The network interfaces of this node.
#pragma once

#include <string>
#include <vector>

namespace ubf {

// Of this network namespace. Asks the kernel each time; empty if it does not answer.
std::vector<std::string> interface_names();

} // namespace ubf
