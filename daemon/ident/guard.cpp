#include "daemon/ident/guard.hpp"

#include <algorithm>

namespace ubf::ident {

Milliseconds wall_clock() {
    return std::chrono::duration_cast<Milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

std::optional<Datagram> accept(const Received& received, const Terms& terms, Counters& counters) {
    const auto reject = [&](Rejection rejection) {
        counters.rejections.add(rejection);
        return std::nullopt;
    };
    const auto& from = received.path.from;
    const bool peer = std::ranges::any_of(
        terms.peers, [&](const Prefix& range) { return range.contains(from.address); });
    if (from.port != terms.port || !peer)
        return reject(Rejection::foreign);
    auto datagram = decode(received.bytes, received.path, terms.keys);
    if (!datagram)
        return reject(datagram.error());
    if (std::chrono::abs(wall_clock() - datagram->time) > terms.clock_skew)
        return reject(Rejection::late);
    return std::move(*datagram);
}

} // namespace ubf::ident
