// The checks that every ident datagram passes before anybody acts on it, asker and service alike.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "ident/socket.hpp"
#include "ident/wire.hpp"

#include <optional>

namespace ubf::ident {

// What both sides of ident agree on.
struct Terms {
    Port port = 0;
    Milliseconds clock_skew{};
    std::vector<Prefix> peers;
    KeyRing keys;
};

Milliseconds wall_clock();

// Nothing where the datagram is foreign, forged, malformed or late; counted.
std::optional<Datagram> accept(const Received& received, const Terms& terms, Counters& counters);

} // namespace ubf::ident
