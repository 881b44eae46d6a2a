#include "daemon/ident/guard.hpp"

#include <algorithm>

namespace ubf::ident {

Milliseconds wall_clock() {
    return std::chrono::duration_cast<Milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

std::span<const std::uint8_t> Terms::write(std::span<std::uint8_t> out, const Datagram& datagram,
                                           std::size_t& first, const Path& path,
                                           Identities::Why why) const {
    if (identities)
        if (const auto sealed = identities->write(out, datagram, first, path, why))
            return *sealed;
    return encode(out, datagram, first, path, keys.current);
}

namespace {

Result<Datagram, Rejection> read(const Received& received, const Terms& terms) {
    const bool sealed = is_sealed(received.bytes);
    if (sealed && !terms.identities)
        return fail(Rejection::no_certificate);
    if (sealed)
        return terms.identities->read(received);
    if (terms.identities && terms.identities->own().required)
        return fail(Rejection::no_certificate);
    return decode(received.bytes, received.path, terms.keys);
}

} // namespace

Result<Datagram, Rejection> accept(const Received& received, const Terms& terms, PeerTable& peers,
                                   IdentCounters& counters, Milliseconds wall) {
    const auto reject = [&](Rejection rejection) {
        counters.rejections.add(rejection);
        return fail(rejection);
    };
    const auto& from = received.path.from;
    if (from.port != terms.port || !contains(terms.peers, from.address))
        return reject(Rejection::foreign);
    auto datagram = read(received, terms);
    if (!datagram)
        return reject(datagram.error());
    const auto ahead = datagram->time - wall;
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
