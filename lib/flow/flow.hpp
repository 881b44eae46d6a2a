// A flow: protocol, source and destination, as the listener's node sees them.
#pragma once

#include "flow/address.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ubf {

enum class Protocol : std::uint8_t {
    tcp = 6, // IANA protocol numbers
    udp = 17,
    // A connection of the RDMA connection manager, whatever its port space. Not an IP protocol: 254
    // is one of two numbers that never will be (RFC 3692). No packet yields a flow of it.
    rdma = 254,
};

std::string_view to_string(Protocol protocol);

struct Flow {
    Protocol protocol = Protocol::tcp;
    Endpoint source;      // the connector's end
    Endpoint destination; // the listener's end

    // Reads exactly the form that to_string() writes, blanks included.
    static std::optional<Flow> parse(std::string_view text);

    Flow reversed() const { return {protocol, destination, source}; }
    auto operator<=>(const Flow&) const = default;
};

// "tcp 10.0.0.1:40000 -> 10.0.0.2:8888"
std::string to_string(const Flow& flow);

} // namespace ubf

template<>
struct std::hash<ubf::Flow> {
    std::size_t operator()(const ubf::Flow& flow) const noexcept;
};
