// The TCP listeners and unconnected UDP sockets of this network namespace, from /proc/net. Any user
// may read these, and one reading has all sockets, however many there are.
#pragma once

#include "base/types.hpp"
#include "flow/flow.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ubf::ctl {

struct Listening {
    Protocol protocol{};
    Endpoint place;
    Uid uid{};
    std::uint32_t inode = 0;
    std::size_t flows = 0; // TCP connections that came to it and are open

    // At every address of the node.
    bool is_everywhere() const;
};

// The text of one file. Malformed lines are passed over.
struct SocketTable {
    Protocol protocol;
    std::string_view text;
};
std::vector<Listening> listening_in(const std::vector<SocketTable>& tables);

// Those of this process's network namespace. Throws std::system_error if they can't be read.
std::vector<Listening> listening();

} // namespace ubf::ctl
