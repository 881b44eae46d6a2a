#include "ident/fields.hpp"

#include "ident/wire.hpp"

namespace ubf::ident {
namespace {

void put(Writer& out, const Address& address) {
    out.bytes(address.bytes());
}

Address get_address(Reader& in) {
    const auto bytes = in.take(16);
    return in.good() ? Address::v6(bytes.first<16>()) : Address{};
}

} // namespace

void put(Writer& out, const Flow& flow) {
    out.number(static_cast<std::uint8_t>(flow.protocol));
    out.number(std::uint8_t{0});
    out.number(flow.source.port);
    out.number(flow.destination.port);
    put(out, flow.source.address);
    put(out, flow.destination.address);
}

std::optional<Flow> get_flow(Reader& in) {
    Flow flow;
    const auto protocol = in.number<std::uint8_t>();
    const auto zero = in.number<std::uint8_t>();
    flow.source.port = in.number<std::uint16_t>();
    flow.destination.port = in.number<std::uint16_t>();
    flow.source.address = get_address(in);
    flow.destination.address = get_address(in);
    flow.protocol = Protocol{protocol};
    const bool known = flow.protocol == Protocol::tcp || flow.protocol == Protocol::udp ||
                       flow.protocol == Protocol::rdma;
    if (!in.good() || !known || zero != 0 ||
        flow.source.address.is_v4() != flow.destination.address.is_v4())
        return std::nullopt;
    return flow;
}

void put_text(Writer& out, std::string_view text) {
    out.number(static_cast<std::uint8_t>(text.size()));
    out.bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::string get_text(Reader& in, std::size_t most) {
    const auto size = in.number<std::uint8_t>();
    if (size > most) {
        in.take(max_datagram + 1); // fails the reader
        return {};
    }
    const auto bytes = in.take(size);
    return {bytes.begin(), bytes.end()};
}

std::optional<Reason> get_reason(Reader& in) {
    constexpr std::size_t longest = 32;
    return parse_reason(get_text(in, longest));
}

} // namespace ubf::ident
