// Packets from a queue, beginning with the network header.
#include "flow/packet.hpp"
#include "fuzzer.hpp"
#include "label/cipso.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto packet = ubf::parse_packet({data, size});
    if (packet) {
        // Both ends are of one family, and the text reads back as the same endpoint.
        ubf::fuzz::require(packet->flow.source.address.is_v4() ==
                           packet->flow.destination.address.is_v4());
        ubf::fuzz::require(ubf::Endpoint::parse(to_string(packet->flow.source)) ==
                           packet->flow.source);
    }
    static_cast<void>(ubf::stated_level({data, size}));
    return 0;
}
