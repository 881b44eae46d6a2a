// Packets: what a queue hands us, from the network header on.
#include "flow/packet.hpp"
#include "fuzzer.hpp"
#include "label/cipso.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto flow = ubf::parse_packet({data, size});
    if (flow) {
        // Both families alike, and a text that reads back as the same.
        ubf::fuzz::require(flow->source.address.is_v4() == flow->destination.address.is_v4());
        ubf::fuzz::require(ubf::Endpoint::parse(to_string(flow->source)) == flow->source);
    }
    static_cast<void>(ubf::stated_level({data, size}));
    return 0;
}
