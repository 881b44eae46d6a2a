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
    if (from.port != terms.port || !contains(terms.peers, from.address))
        return reject(Rejection::foreign);
    auto datagram = decode(received.bytes, received.path, terms.keys);
    if (!datagram)
        return reject(datagram.error());
    if (std::chrono::abs(wall_clock() - datagram->time) > terms.clock_skew)
        return reject(Rejection::late);
    return std::move(*datagram);
}

} // namespace ubf::ident
