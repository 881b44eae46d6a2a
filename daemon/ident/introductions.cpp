#include "daemon/ident/introductions.hpp"

#include <array>

namespace ubf::ident {

void take_introduction(const Received& received, const Terms& terms, const Socket& socket,
                       IdentCounters& counters) {
    auto& rejections = counters.rejections;
    const auto& from = received.path.from;
    if (from.port != terms.port || !contains(terms.peers, from.address))
        return rejections.add(Rejection::foreign);
    if (!terms.identities)
        return rejections.add(Rejection::no_certificate);
    const auto learnt = terms.identities->learn(received);
    if (!learnt)
        return rejections.add(learnt.error());
    if (!learnt->counts)
        rejections.add(Rejection::no_certificate);
    if (!learnt->answer)
        return;
    std::array<std::uint8_t, max_datagram> buffer;
    const auto path = received.path.reversed();
    socket.send(path, received.interface,
                terms.identities->introduce_to(path.to.address, buffer, learnt->ask,
                                               learnt->theirs)); // if lost, the peer asks again
}

void greet(const Received& received, const Result<Datagram, Rejection>& datagram,
           const Terms& terms, const Socket& socket) {
    if (!terms.identities || (datagram && datagram->sealed))
        return;
    const bool unknown = !datagram && (datagram.error() == Rejection::no_certificate ||
                                       terms.identities->is_for_another_key(received.bytes));
    if (!datagram && !unknown)
        return;
    std::array<std::uint8_t, max_datagram> buffer;
    const auto path = received.path.reversed();
    const bool asks = unknown && is_sealed(received.bytes);
    if (const auto bytes = terms.identities->greet(buffer, path, asks))
        socket.send(path, received.interface, *bytes);
}

void note_listeners(const std::vector<Question>& questions, const Sender& sender,
                    const Terms& terms) {
    if (!terms.identities || !sender.sealed)
        return;
    std::optional<Address> last;
    for (const auto& question : questions)
        if (const auto& address = question.flow.destination.address; last != address) {
            terms.identities->note_end(sender.path.from.address, address);
            last = address;
        }
}

} // namespace ubf::ident
