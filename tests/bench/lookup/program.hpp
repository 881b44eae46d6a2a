// What is looked for: a user's program that has sockets.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "flow/address.hpp"

#include <cstddef>
#include <vector>

namespace ubf::bench {

constexpr std::size_t sockets = 64; // of each kind

// Listeners, and connections to the first of them, all on the loopback address.
struct Program {
    std::vector<Endpoint> listeners;
    std::vector<Endpoint> connectors;
};

// Stays as long as its parent.
Program start_program(Uid uid);

Endpoint local_end(const UniqueFd& fd);

} // namespace ubf::bench
