#include "daemon/ident/guard.hpp"

#include <algorithm>

namespace ubf::ident {

Milliseconds wall_clock() {
    return std::chrono::duration_cast<Milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

Result<Datagram, Rejection> accept(const Received& received, const Terms& terms, PeerTable& peers,
                                   IdentCounters& counters) {
    const auto reject = [&](Rejection rejection) {
        counters.rejections.add(rejection);
        return fail(rejection);
    };
    const auto& from = received.path.from;
    if (from.port != terms.port || !contains(terms.peers, from.address))
        return reject(Rejection::foreign);
    auto datagram = decode(received.bytes, received.path, terms.keys);
    if (!datagram)
        return reject(datagram.error());
    const auto ahead = datagram->time - wall_clock();
    if (std::chrono::abs(ahead) > terms.clock_skew)
        peers.clock_seen(from.address, ahead);
    const bool needs_clock = !std::holds_alternative<std::vector<Question>>(datagram->entries) &&
                             !std::holds_alternative<std::vector<Answer>>(datagram->entries) &&
                             !std::holds_alternative<std::vector<Decision>>(datagram->entries);
    if (needs_clock && std::chrono::abs(ahead - peers.clock_ahead(from.address)) > terms.clock_skew)
        return reject(Rejection::late);
    return std::move(*datagram);
}

} // namespace ubf::ident
