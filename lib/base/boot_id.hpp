// The number of the boot.
#pragma once

#include <fstream>
#include <string>

namespace ubf {

// Every boot of a node has a number of its own (random(4)). Empty if it can't be read.
inline std::string read_boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

} // namespace ubf
