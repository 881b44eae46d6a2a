// A user's program with sockets, as the target of lookups.
#pragma once

#include "base/types.hpp"
#include "base/unique_fd.hpp"
#include "flow/address.hpp"

#include <cstddef>
#include <sys/types.h>
#include <vector>

namespace ubf::bench {

constexpr std::size_t sockets = 64; // of each kind

// Listeners, and connections to the first of them, all on the loopback address.
struct Program {
    std::vector<Endpoint> listeners;
    std::vector<Endpoint> connectors;
    pid_t pid = 0;
};

// The program lives as long as its parent, unless end_program() ends it.
Program start_program(Uid uid);
void end_program(const Program& program);

// A TCP listener of a user without processes: this process holds it.
UniqueFd open_server_of(Uid uid);

Endpoint local_end(const UniqueFd& fd);

} // namespace ubf::bench
