// The service tells peers about this node's certificate.
#include "daemon/ident/service.hpp"

#include <array>

namespace ubf::ident {

// A peer has sent its certificate. It is not proven by that.
void Service::introduced(const Received& received) {
    auto& rejections = shared_.counters.ident.rejections;
    const auto& from = received.path.from;
    if (from.port != terms_->port || !contains(terms_->peers, from.address))
        return rejections.add(Rejection::foreign);
    if (!terms_->identities)
        return rejections.add(Rejection::no_certificate);
    const auto asks = terms_->identities->learn(received);
    if (!asks)
        return rejections.add(asks.error());
    if (!*asks)
        return;
    std::array<std::uint8_t, max_datagram> buffer;
    socket_.send(received.path.reversed(), received.interface,
                 terms_->identities->introduce_to(buffer)); // if lost, the peer asks again
}

// A peer that used the cluster key learns that this node seals. A peer whose key is unknown is
// asked for its certificate, and so is one that does not know this node's key.
void Service::greet(const Received& received, const Result<Datagram, Rejection>& datagram) {
    if (!terms_->identities || (datagram && datagram->sealed))
        return;
    const bool unknown = !datagram && (datagram.error() == Rejection::no_certificate ||
                                       terms_->identities->is_for_another_key(received.bytes));
    if (!datagram && !unknown)
        return;
    std::array<std::uint8_t, max_datagram> buffer;
    const auto path = received.path.reversed();
    const bool asks = unknown && is_sealed(received.bytes);
    if (const auto bytes = terms_->identities->greet(buffer, path, asks))
        socket_.send(path, received.interface, *bytes);
}

// This node stamps what it sends there by the key of the pair from now on.
void Service::note_listeners(const std::vector<Question>& questions, const Sender& sender) {
    if (!terms_->identities || !sender.sealed)
        return;
    std::optional<Address> last;
    for (const auto& question : questions)
        if (const auto& address = question.flow.destination.address; last != address) {
            terms_->identities->note_end(sender.path.from.address, address);
            last = address;
        }
}

} // namespace ubf::ident
