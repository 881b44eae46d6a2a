#include "daemon/ident/identities.hpp"

#include <algorithm>
#include <sodium.h>

namespace ubf::ident {
namespace {

// A peer that sealed, and leaves a sealed question without an answer for so long, may not seal any
// more. It is within the first pause before a retransmission or two.
constexpr std::chrono::milliseconds patience{150};
constexpr std::chrono::seconds between_good{1};
constexpr std::chrono::seconds between_guesses{30}; // an older ubfd can't read a certificate
constexpr std::size_t most_pairs = 6;               // of one peer

} // namespace

identity::SealNonce Identities::Nonces::draw() {
    if (left == 0) {
        randombytes_buf(drawn.data(), sizeof drawn);
        left = drawn.size();
    }
    return drawn[--left];
}

Identities::Identities(Own own, identity::Roster roster)
  : own_(std::move(own)) {
    book_.lock()->roster = std::make_shared<const identity::Roster>(std::move(roster));
}

void Identities::set_roster(identity::Roster roster) {
    auto fresh = std::make_shared<const identity::Roster>(std::move(roster));
    const auto book = book_.lock();
    book->roster.swap(fresh);
    for (const auto& [address, entry] : book->peers.all())
        book->peers.find(address)->state.certificate.reset();
}

// The certificates by which a node may speak from the address now. The one that proved the peer
// last comes first, then the newest.
std::vector<Identities::Known> Identities::known(const Book& book, const Peer* peer,
                                                 const Address& address, identity::Seconds now) {
    std::vector<Known> found;
    for (const auto* listed : book.roster->at(address))
        if (!listed->valid.fault(now))
            found.emplace_back(book.roster, listed); // keeps the roster
    if (peer != nullptr)
        for (const auto& introduced : peer->introduced)
            if (!introduced->valid.fault(now) && book.may_be_introduced(address, *introduced))
                found.push_back(introduced);
    const auto proven = peer == nullptr ? std::nullopt : peer->proven;
    std::ranges::sort(found, [&](const Known& a, const Known& b) {
        const bool first = proven == a->serial;
        return first != (proven == b->serial) ? first : a->serial > b->serial;
    });
    return found;
}

// By which to seal something for the peer; the last one, without a search.
Identities::Known Identities::usable(const Book& book, Peer& peer, const Address& address,
                                     identity::Seconds now) {
    if (peer.certificate && !peer.certificate->valid.fault(now))
        return peer.certificate;
    const auto certificates = known(book, &peer, address, now);
    peer.certificate = certificates.empty() ? nullptr : certificates.front();
    return peer.certificate;
}

// The peer does not answer what is sealed for its last key. It may have another one by now.
void Identities::use_next(const Book& book, Peer& peer, const Address& address,
                          identity::Seconds now) {
    const auto certificates = known(book, &peer, address, now);
    const auto last = std::ranges::find_if(certificates, [&](const Known& each) {
        return peer.certificate && each->serial == peer.certificate->serial;
    });
    if (certificates.empty())
        peer.certificate = nullptr;
    else if (last == certificates.end() || std::next(last) == certificates.end())
        peer.certificate = certificates.front();
    else
        peer.certificate = *std::next(last);
}

// The one with this key.
Identities::Known Identities::find(const Book& book, Peer& peer, const Address& address,
                                   identity::KeyId key, identity::Seconds now) {
    const auto is_last = [&](const Pair& pair) {
        return pair.theirs == key && pair.their_key == peer.certificate->key;
    };
    if (peer.certificate && !peer.certificate->valid.fault(now) &&
        std::ranges::any_of(peer.pairs, is_last))
        return peer.certificate;
    for (auto& certificate : known(book, &peer, address, now))
        if (id_of(certificate->key) == key)
            return certificate;
    return nullptr;
}

// A datagram that does not open may name any of these pairs. So all are kept: a secret takes fifty
// times as long to find as a datagram to refuse.
Identities::Pair* Identities::Peer::pair_with(const identity::NodeKey& mine,
                                              const identity::PublicKey& theirs) {
    const auto known = std::ranges::find_if(pairs, [&](const Pair& pair) {
        return pair.mine == mine.id() && pair.their_key == theirs;
    });
    if (known != pairs.end())
        return &*known;
    auto shared = mine.shared_with(theirs);
    if (!shared)
        return nullptr;
    if (pairs.size() >= most_pairs)
        pairs.erase(pairs.begin());
    return &*pairs.insert(pairs.end(), Pair{mine.id(), id_of(theirs), theirs, *shared});
}

std::optional<Identities::Sealing> Identities::prepare(Book& book, Peer& peer,
                                                       const identity::Certificate& theirs,
                                                       Milliseconds time) const {
    // A peer that does not know the new key yet seals for the old one, and is answered with it.
    const auto& previous = own_.keys.previous;
    const bool knows_previous = previous && peer.used && peer.used->mine == previous->id() &&
                                peer.used->theirs == theirs.key;
    const auto& mine = knows_previous ? *previous : own_.keys.current;
    auto* pair = peer.pair_with(mine, theirs.key);
    if (pair == nullptr)
        return std::nullopt;
    const Envelope envelope{pair->mine, pair->theirs, time};
    if (!pair->out || pair->out->epoch != envelope.epoch())
        pair->out.emplace(
            Pair::Derived{envelope.epoch(), pair_key(pair->shared, mine.public_key(), theirs.key,
                                                     identity::purpose_ident, envelope.epoch())});
    return Sealing{envelope, book.nonces.draw(), pair->out->key};
}

bool Identities::Peer::is_overdue(Why why, TimePoint now) {
    if (why != Why::question)
        return false;
    if (!waits_since)
        waits_since = now;
    if (now - *waits_since <= patience)
        return false;
    waits_since.reset();
    return true;
}

bool Identities::Peer::shall_get_sealed(Why why) const {
    return why == Why::reply || (why != Why::clear_reply && proven.has_value());
}

std::optional<std::span<const std::uint8_t>> Identities::write(std::span<std::uint8_t> out,
                                                               const Datagram& datagram,
                                                               std::size_t& first, const Path& path,
                                                               Why why) {
    std::optional<Sealing> sealing;
    Grants grants;
    {
        const auto now = own_.clocks.seconds();
        const auto book = book_.lock();
        const auto& address = path.to.address;
        auto* entry = book->peers.add(address);
        Peer passing;
        auto& peer = entry == nullptr ? passing : entry->state;
        const auto seals = [&] { return own_.required || peer.shall_get_sealed(why); };
        if (seals() && peer.is_overdue(why, own_.clocks.steady())) {
            if (own_.required)
                use_next(*book, peer, address, now);
            else
                peer.proven.reset(); // until the peer says again that it seals
        }
        if (!seals())
            return std::nullopt;
        const auto theirs = usable(*book, peer, address, now);
        grants = book->grants.of(datagram);
        if (theirs)
            sealing = prepare(*book, peer, *theirs, datagram.time);
        else if (!own_.required)
            return std::nullopt;
    }
    if (sealing)
        return seal(out, datagram, first, path, sealing->envelope, sealing->nonce, sealing->key,
                    grants);
    first = std::visit([](const auto& all) { return all.size(); }, datagram.entries);
    return introduce_to(path.to.address, out, true);
}

// Returns whether stamps of the peer count by its own key from now on. A recorded datagram, sent
// again by somebody else, does not bring back keys that the peer has changed since. But if the last
// key has no certificate any more, the peer's clock may have been set back.
bool Identities::prove(const Address& address, const Opening& by, const Opened& opened) {
    const Used used{by.mine->id(), by.theirs->key};
    const auto book = book_.lock();
    auto& peer = book->peers.prove(address).state;
    const auto is_last = [&](const Known& each) { return each->key == peer.used->theirs; };
    const auto is_over = [&] {
        return peer.used &&
               std::ranges::none_of(known(*book, &peer, address, own_.clocks.seconds()), is_last);
    };
    const bool is_newer = opened.datagram.time > peer.newest;
    const bool is_same = peer.used == used && peer.proven;
    if (!is_newer && !is_same && !is_over())
        return false;
    peer.newest = std::max(peer.newest, opened.datagram.time);
    if (is_newer)
        peer.waits_since.reset();
    const bool is_new = peer.proven != by.theirs->serial || peer.stamps_told != book->stamps_set;
    peer.proven = by.theirs->serial;
    peer.used = used;
    peer.stamps_told = book->stamps_set;
    if (book->roster == by.roster) // another may lack the certificate, or revoke it
        peer.certificate = by.theirs;
    book->grants.take(opened.grants, by.theirs->name, *book->roster, peer.granting,
                      {own_.clocks.steady(), own_.clocks.seconds()});
    return is_new;
}

void Identities::answered(const Address& address, Milliseconds stated) {
    const auto book = book_.lock();
    if (auto* entry = book->peers.find(address)) {
        entry->state.newest = stated;
        entry->state.waits_since.reset();
    }
}

bool Identities::is_for_another_key(std::span<const std::uint8_t> bytes) const {
    const auto envelope = envelope_of(bytes);
    return envelope && own_.keys.find(envelope->receiver) == nullptr;
}

Result<Datagram, Rejection> Identities::read(const Received& received) {
    const auto envelope = envelope_of(received.bytes);
    if (!envelope)
        return fail(Rejection::malformed);
    const auto* mine = own_.keys.find(envelope->receiver);
    if (mine == nullptr)
        return fail(Rejection::wrong_key);
    const auto& address = received.path.from.address;
    Opening by{nullptr, mine, nullptr};
    auto& theirs = by.theirs;
    std::optional<identity::Secret> key;
    {
        const auto book = book_.lock();
        by.roster = book->roster;
        auto* entry = book->peers.add(address);
        Peer passing;
        auto& peer = entry == nullptr ? passing : entry->state;
        theirs = find(*book, peer, address, envelope->sender, own_.clocks.seconds());
        if (!theirs)
            return fail(Rejection::no_certificate);
        auto* pair = peer.pair_with(*mine, theirs->key);
        if (pair == nullptr)
            return fail(Rejection::wrong_key);
        if (!pair->in || pair->in->epoch != envelope->epoch())
            pair->in.emplace(Pair::Derived{envelope->epoch(),
                                           pair_key(pair->shared, theirs->key, mine->public_key(),
                                                    identity::purpose_ident, envelope->epoch())});
        key = pair->in->key;
    }
    auto opened = open(received.bytes, received.path, *key);
    if (!opened)
        return fail(opened.error());
    if (prove(address, by, *opened))
        note_end(address, address);
    opened->datagram.by = std::move(theirs);
    return std::move(opened->datagram);
}

bool Identities::Peer::take_greeting(TimePoint now, std::chrono::seconds between) {
    if (now - greeted < between)
        return false;
    greeted = now;
    return true;
}

std::chrono::seconds Identities::between_greetings(const Book& book, const Peer& peer,
                                                   const Address& address) const {
    const bool may_be_old =
        !own_.required && known(book, &peer, address, own_.clocks.seconds()).empty();
    return may_be_old ? between_guesses : between_good;
}

std::optional<std::span<const std::uint8_t>> Identities::greet(std::span<std::uint8_t> out,
                                                               const Path& path, bool asks) {
    const auto& address = path.to.address;
    std::optional<Sealing> sealing;
    const Datagram hello{Channel::service, Channel::service, own_.clocks.wall(),
                         std::vector<Gone>{}};
    {
        const auto book = book_.lock();
        auto* entry = book->peers.add(address);
        if (entry == nullptr)
            return std::nullopt;
        auto& peer = entry->state;
        if (!peer.take_greeting(own_.clocks.steady(), between_greetings(*book, peer, address)))
            return std::nullopt;
        const auto certificates = known(*book, &peer, address, own_.clocks.seconds());
        if (!asks && !certificates.empty())
            sealing = prepare(*book, peer, *certificates.front(), hello.time);
    }
    std::size_t first = 0;
    if (sealing)
        return seal(out, hello, first, path, sealing->envelope, sealing->nonce, sealing->key);
    return introduce_to(address, out, true);
}

Identities::Proof Identities::proof(const Address& address) const {
    const auto certificate = proven(*book_.lock(), address, own_.clocks.seconds());
    if (!certificate)
        return {};
    return {true, certificate->serial, certificate->name, certificate->node_class};
}

bool Identities::is_barred(const Address& address) const {
    if (!own_.required)
        return false;
    const auto book = book_.lock();
    const auto& peers = book->peers.all();
    const auto found = peers.find(address);
    if (found == peers.end() || !found->second.state.proven)
        return false;
    const auto& peer = found->second.state;
    return book->roster->is_revoked(*peer.proven) &&
           known(*book, &peer, address, own_.clocks.seconds()).empty();
}

} // namespace ubf::ident
