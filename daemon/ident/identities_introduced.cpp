// The part of an identity about certificates that peers introduce, as they are not in the roster.
#include "daemon/ident/identities.hpp"

#include <algorithm>
#include <functional>

namespace ubf::ident {
namespace {

constexpr unsigned most_learnt = 500;  // a second; each takes the check of a signature
constexpr unsigned most_sent_back = 4; // a second, of one peer

} // namespace

// A node of a range does not speak for one that the roster names within the range. A certificate
// that the roster could not have revoked counts only if the roster lists it.
bool Identities::Book::may_be_introduced(const Address& address,
                                         const identity::Certificate& certificate) const {
    const auto length = certificate.length_at(address);
    const auto listed = roster->at(address);
    return length && roster->speaks_of(certificate.authority) &&
           !roster->is_revoked(certificate.serial) &&
           (listed.empty() || *length >= *listed.front()->length_at(address));
}

bool Identities::is_known(const Book& book, const Peer* peer,
                          const identity::Certificate& certificate) {
    const auto* listed = book.roster->find(certificate.serial);
    return (listed != nullptr && *listed == certificate) ||
           (peer != nullptr && std::ranges::any_of(peer->introduced, [&](const Known& introduced) {
                return *introduced == certificate;
            }));
}

void Identities::remember(const Book& book, const Address& address, Peer& peer, Known certificate,
                          identity::Seconds now) {
    constexpr std::size_t most = 2;
    auto& known = peer.introduced;
    std::erase_if(known, [&](const Known& each) {
        return each->valid.fault(now) || !book.may_be_introduced(address, *each);
    });
    known.push_back(std::move(certificate));
    std::ranges::stable_sort(known, std::ranges::greater(),
                             [](const Known& each) { return each->serial; });
    if (known.size() > most)
        known.pop_back();
}

// Each introduction that asks gets one answer, so nobody makes a flood larger by it. Two nodes do
// not go on asking each other: an answer asks a peer once a second at most.
Result<Identities::Introduced, Rejection> Identities::learn(const Received& received) {
    const auto introduced = introduction_of(received.bytes);
    if (!introduced)
        return fail(Rejection::malformed);
    const auto& address = received.path.from.address;
    const auto stated = identity::parse_certificate(introduced->certificate);
    const auto wall = own_.clocks.seconds();
    if (!stated || stated->valid.fault(wall))
        return fail(Rejection::no_certificate);
    const auto now = own_.clocks.steady();
    const bool came_back = cookies_.is_of(introduced->sent_back, address, now);
    bool known = false;
    {
        const auto book = book_.lock();
        auto* entry = book->peers.find(address);
        known = is_known(*book, entry == nullptr ? nullptr : &entry->state, *stated);
        if (!book->may_be_introduced(address, *stated))
            return fail(Rejection::no_certificate);
        const bool own_check =
            came_back && entry != nullptr && entry->state.sent_back.add(now, most_sent_back);
        if (!known && !own_check && !book->learning.add(now, most_learnt)) {
            entry = book->peers.add(address);
            const bool ask =
                entry != nullptr &&
                entry->state.take_greeting(now, between_greetings(*book, entry->state, address));
            return Introduced{false, ask || introduced->asks, ask, introduced->own};
        }
    }
    if (!known && !identity::check_certificate(introduced->certificate, own_.authorities))
        return fail(Rejection::no_certificate);
    const auto book = book_.lock();
    auto* entry = book->peers.add(address);
    if (entry != nullptr) {
        if (!known)
            remember(*book, address, entry->state,
                     std::make_shared<const identity::Certificate>(*stated), wall);
        if (introduced->asks) // it does not know the key that was used last
            entry->state.used.reset();
    }
    return Introduced{true, introduced->asks, false, introduced->own};
}

std::span<const std::uint8_t> Identities::introduce_to(const Address& peer,
                                                       std::span<std::uint8_t> out, bool asks,
                                                       PeerCookie sent_back) const {
    const auto own = asks ? cookies_.of(peer, own_.clocks.steady()) : PeerCookie{};
    return introduce(out, {own_.certificate, asks, own, sent_back}, own_.keys.current.id());
}

} // namespace ubf::ident
