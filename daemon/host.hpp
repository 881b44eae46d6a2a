// The settings of the node itself that ubfd depends on, and warnings about them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ubf {

// Keeps the daemon's memory in core: no page of it may come over a network file system while a
// packet waits. False where the system doesn't let us.
bool lock_memory();

// Settings of this node that weaken what ubfd promises, each with what to do; one line each.
// `state` is the folder that ubfd keeps its state in.
std::vector<std::string> host_warnings(const std::filesystem::path& state);

} // namespace ubf
