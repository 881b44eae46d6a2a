#include "flow/flow.hpp"

#include "base/text.hpp"

#include <fmt/format.h>

namespace ubf {

std::string_view to_string(Protocol protocol) {
    switch (protocol) {
    case Protocol::tcp:
        return "tcp";
    case Protocol::udp:
        return "udp";
    case Protocol::rdma:
        return "rdma";
    }
    return "?";
}

std::optional<Flow> Flow::parse(std::string_view text) {
    const auto protocol = split(text, ' ');
    const auto source = Endpoint::parse(split(text, ' '));
    const auto arrow = split(text, ' ');
    const auto destination = Endpoint::parse(text);
    if ((protocol != "tcp" && protocol != "udp") || !source || arrow != "->" || !destination ||
        source->address.is_v4() != destination->address.is_v4())
        return std::nullopt;
    return Flow{protocol == "tcp" ? Protocol::tcp : Protocol::udp, *source, *destination};
}

std::string to_string(const Flow& flow) {
    return fmt::format("{} {} -> {}", to_string(flow.protocol), to_string(flow.source),
                       to_string(flow.destination));
}

} // namespace ubf

std::size_t std::hash<ubf::Flow>::operator()(const ubf::Flow& flow) const noexcept {
    const std::hash<ubf::Address> of_address;
    std::uint64_t x = std::uint64_t{flow.source.port} << 24 |
                      std::uint64_t{flow.destination.port} << 8 |
                      static_cast<std::uint8_t>(flow.protocol);
    x = (x ^ of_address(flow.source.address)) * 0x9fb21c651e98df25u;
    x = (x ^ (x >> 35) ^ of_address(flow.destination.address)) * 0xd6e8feb86659fd93u;
    return static_cast<std::size_t>(x ^ (x >> 32));
}
