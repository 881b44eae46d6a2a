#include "daemon/ident/identities.hpp"

#include "identity/clock.hpp"

#include <algorithm>
#include <sodium.h>

namespace ubf::ident {
namespace {

using identity::seconds_now;

// A peer that sealed, and leaves a sealed question without an answer for so long, may not seal any
// more. It is within the first pause before a retransmission or two.
constexpr std::chrono::milliseconds patience{150};
constexpr std::chrono::seconds between_greetings{1};
constexpr std::chrono::seconds between_guesses{30}; // an older ubfd can't read a certificate
constexpr unsigned most_granted = 50;               // the same, of one peer
constexpr unsigned most_learnt = 500;               // a second; each takes the check of a signature

Milliseconds clock_now() {
    return std::chrono::duration_cast<Milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
}

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

void Identities::set_grants(OwnGrants grants) {
    book_.lock()->own_grants.swap(grants);
}

// The grants of the users whom the answers name.
Grants Identities::grants_for(const Book& book, const Datagram& datagram) {
    Grants grants;
    const auto* answers = std::get_if<std::vector<Answer>>(&datagram.entries);
    if (answers == nullptr || book.own_grants.empty())
        return grants;
    for (const auto& answer : *answers)
        if (const auto found = book.own_grants.find(answer.owner.uid);
            answer.owner.kind == OwnerKind::user && found != book.own_grants.end())
            for (const auto& grant : found->second)
                if (std::ranges::find(grants, grant) == grants.end())
                    grants.push_back(grant);
    return grants;
}

// Keeps the grants that are good for this node. A later one takes the place of an earlier.
void Identities::take(Book& book, Peer& peer, const std::string& node, const Grants& grants) const {
    const auto now = seconds_now();
    for (const auto& bytes : grants) {
        const auto said = identity::parse_grant(bytes);
        if (!said || said->node != node || said->valid.fault(now))
            continue;
        const Holder holder{node, said->uid};
        const auto known = book.grants.find(holder);
        if (known != book.grants.end() &&
            (known->second.bytes == bytes || known->second.grant.valid.until > said->valid.until))
            continue;
        const auto* granter = book.roster->find(said->granter);
        if (granter == nullptr || !peer.granting.add(Clock::now(), most_granted))
            continue;
        auto grant = identity::check_grant(bytes, *granter, now);
        if (!grant)
            continue;
        if (book.grants.size() >= most_grants)
            std::erase_if(book.grants,
                          [&](const auto& entry) { return entry.second.grant.valid.until <= now; });
        if (book.grants.size() < most_grants || known != book.grants.end())
            book.grants.insert_or_assign(holder, Granted{std::move(*grant), bytes});
    }
}

const identity::NodeKey* Identities::own_key(identity::KeyId id) const {
    if (own_.keys.current.id() == id)
        return &own_.keys.current;
    if (own_.keys.previous && own_.keys.previous->id() == id)
        return &*own_.keys.previous;
    return nullptr;
}

// The certificates by which a node may speak from the address now. The one that proved the peer
// last comes first, then the newest.
std::vector<Identities::Known> Identities::known(const Book& book, const Peer* peer,
                                                 const Address& address, identity::Seconds now) {
    std::vector<Known> found;
    for (const auto* listed : book.roster->at(address))
        if (!listed->valid.fault(now))
            found.emplace_back(book.roster, listed); // keeps the roster
    if (peer != nullptr && peer->introduced && !peer->introduced->valid.fault(now) &&
        !book.roster->is_revoked(peer->introduced->serial) &&
        contains(peer->introduced->addresses, address))
        found.push_back(peer->introduced);
    const auto proven = peer == nullptr ? std::nullopt : peer->proven;
    std::ranges::sort(found, [&](const Known& a, const Known& b) {
        const bool first = proven == a->serial;
        return first != (proven == b->serial) ? first : a->serial > b->serial;
    });
    return found;
}

// By which to seal something for the peer; the last one, without a search.
Identities::Known Identities::usable(const Book& book, Peer& peer, const Address& address) {
    const auto now = seconds_now();
    if (peer.certificate && !peer.certificate->valid.fault(now))
        return peer.certificate;
    const auto certificates = known(book, &peer, address, now);
    peer.certificate = certificates.empty() ? nullptr : certificates.front();
    return peer.certificate;
}

// The one with this key.
Identities::Known Identities::find(const Book& book, Peer& peer, const Address& address,
                                   identity::KeyId key) {
    const auto now = seconds_now();
    if (peer.certificate && peer.pair && peer.pair->theirs == key &&
        peer.pair->their_key == peer.certificate->key && !peer.certificate->valid.fault(now))
        return peer.certificate;
    for (auto& certificate : known(book, &peer, address, now))
        if (id_of(certificate->key) == key)
            return certificate;
    return nullptr;
}

Identities::Pair* Identities::pair_with(std::optional<Pair>& room, const identity::NodeKey& mine,
                                        const identity::PublicKey& theirs) {
    if (room && room->mine == mine.id() && room->their_key == theirs)
        return &*room;
    auto shared = mine.shared_with(theirs);
    if (!shared)
        return nullptr;
    room.emplace(Pair{mine.id(), id_of(theirs), theirs, *shared});
    return &*room;
}

std::optional<Identities::Sealing> Identities::prepare(Book& book, Peer& peer,
                                                       const identity::Certificate& theirs,
                                                       Milliseconds time) const {
    // A peer that does not know the new key yet seals for the old one, and is answered with it.
    const auto& previous = own_.keys.previous;
    const bool knows_previous = previous && peer.pair && peer.pair->mine == previous->id() &&
                                peer.pair->their_key == theirs.key;
    const auto& mine = knows_previous ? *previous : own_.keys.current;
    auto* pair = pair_with(peer.pair, mine, theirs.key);
    if (pair == nullptr)
        return std::nullopt;
    const Envelope envelope{pair->mine, pair->theirs, time};
    if (!pair->out || pair->out->epoch != envelope.epoch())
        pair->out.emplace(
            Pair::Derived{envelope.epoch(), pair_key(pair->shared, mine.public_key(), theirs.key,
                                                     identity::purpose_ident, envelope.epoch())});
    return Sealing{envelope, book.nonces.draw(), pair->out->key};
}

bool Identities::shall_seal(Peer& peer, Why why) const {
    if (own_.required || why == Why::reply)
        return true;
    if (why == Why::clear_reply || !peer.proven)
        return false;
    if (why != Why::question)
        return true;
    const auto now = Clock::now();
    if (!peer.waits_since)
        peer.waits_since = now;
    if (now - *peer.waits_since <= patience)
        return true;
    peer.waits_since.reset();
    peer.proven.reset(); // until the peer says again that it seals
    return false;
}

std::optional<std::span<const std::uint8_t>> Identities::write(std::span<std::uint8_t> out,
                                                               const Datagram& datagram,
                                                               std::size_t& first, const Path& path,
                                                               Why why) {
    std::optional<Sealing> sealing;
    Grants grants;
    {
        const auto book = book_.lock();
        const auto& address = path.to.address;
        auto* entry = book->peers.add(address);
        Peer passing;
        auto& peer = entry == nullptr ? passing : entry->state;
        if (!shall_seal(peer, why))
            return std::nullopt;
        const auto theirs = usable(*book, peer, address);
        grants = grants_for(*book, datagram);
        if (theirs)
            sealing = prepare(*book, peer, *theirs, datagram.time);
        else if (!own_.required)
            return std::nullopt;
    }
    if (sealing)
        return seal(out, datagram, first, path, sealing->envelope, sealing->nonce, sealing->key,
                    grants);
    first = std::visit([](const auto& all) { return all.size(); }, datagram.entries);
    return introduce(out, {own_.certificate, true}, own_.keys.current.id(), datagram.time);
}

// Returns whether stamps of the peer count by its own key from now on. roster: by which the
// certificate was found.
bool Identities::prove(const Address& address, const Known& theirs, const identity::Roster& roster,
                       const Grants& grants) {
    const auto book = book_.lock();
    auto& peer = book->peers.prove(address).state;
    const bool is_new = peer.proven != theirs->serial || peer.stamps_told != book->stamps_set;
    peer.proven = theirs->serial;
    peer.stamps_told = book->stamps_set;
    if (book->roster.get() == &roster) // another may lack the certificate, or revoke it
        peer.certificate = theirs;
    peer.waits_since.reset();
    take(*book, peer, theirs->name, grants);
    return is_new;
}

Result<Datagram, Rejection> Identities::read(const Received& received) {
    const auto envelope = envelope_of(received.bytes);
    if (!envelope)
        return fail(Rejection::malformed);
    const auto* mine = own_key(envelope->receiver);
    if (mine == nullptr)
        return fail(Rejection::wrong_key);
    const auto& address = received.path.from.address;
    Known theirs;
    std::shared_ptr<const identity::Roster> roster;
    std::optional<identity::Secret> key;
    {
        const auto book = book_.lock();
        roster = book->roster;
        auto* entry = book->peers.add(address);
        Peer passing;
        auto& peer = entry == nullptr ? passing : entry->state;
        theirs = find(*book, peer, address, envelope->sender);
        if (!theirs)
            return fail(Rejection::no_certificate);
        auto* pair = pair_with(peer.pair, *mine, theirs->key);
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
    if (prove(address, theirs, *roster, opened->grants))
        note_end(address, address);
    return std::move(opened->datagram);
}

Result<bool, Rejection> Identities::learn(const Received& received) {
    const auto introduced = introduction_of(received.bytes);
    if (!introduced)
        return fail(Rejection::malformed);
    const auto& address = received.path.from.address;
    {
        const auto book = book_.lock();
        if (!book->learning.add(Clock::now(), most_learnt))
            return fail(Rejection::no_certificate);
    }
    auto certificate = identity::check_certificate(introduced->certificate, own_.authorities);
    if (!certificate || certificate->valid.fault(seconds_now()) ||
        !contains(certificate->addresses, address))
        return fail(Rejection::no_certificate);
    const auto book = book_.lock();
    if (book->roster->is_revoked(certificate->serial))
        return fail(Rejection::no_certificate);
    if (auto* entry = book->peers.add(address)) {
        entry->state.introduced =
            std::make_shared<const identity::Certificate>(std::move(*certificate));
        if (introduced->asks) // it does not know the key that was used last
            entry->state.pair.reset();
    }
    return introduced->asks;
}

std::optional<std::span<const std::uint8_t>> Identities::greet(std::span<std::uint8_t> out,
                                                               const Path& path, bool asks) {
    const auto now = Clock::now();
    const auto& address = path.to.address;
    std::optional<Sealing> sealing;
    const Datagram hello{Channel::service, Channel::service, clock_now(), std::vector<Gone>{}};
    {
        const auto book = book_.lock();
        auto* entry = book->peers.add(address);
        if (entry == nullptr)
            return std::nullopt;
        const auto certificates = known(*book, &entry->state, address, seconds_now());
        const bool may_be_old = certificates.empty() && !own_.required;
        if (now - entry->state.greeted < (may_be_old ? between_guesses : between_greetings))
            return std::nullopt;
        entry->state.greeted = now;
        if (!asks && !certificates.empty())
            sealing = prepare(*book, entry->state, *certificates.front(), hello.time);
    }
    std::size_t first = 0;
    if (sealing)
        return seal(out, hello, first, path, sealing->envelope, sealing->nonce, sealing->key);
    return introduce(out, {own_.certificate, true}, own_.keys.current.id(), hello.time);
}

std::span<const std::uint8_t> Identities::introduce_to(std::span<std::uint8_t> out) const {
    return introduce(out, {own_.certificate, false}, own_.keys.current.id(), clock_now());
}

void Identities::judge(const Address& address, bool sealed, Owner& owner) const {
    const bool of_kernel = owner.kind == OwnerKind::kernel;
    if (!sealed || own_.classes.empty() || (owner.kind != OwnerKind::user && !of_kernel))
        return;
    const auto whose = proof(address);
    const auto* of_class = own_.rule_of(whose.node_class);
    std::vector<identity::Grant> grants;
    if (of_class != nullptr && of_class->jobs)
        grants = granted(*book_.lock(), whose.name, owner.uid);
    const auto counts = [&](bool is_exempt) {
        return may_vouch(of_class, whose.name, {of_kernel, owner.uid, is_exempt}, grants,
                         seconds_now());
    };
    const auto word = counts(false);
    owner.word = word == identity::Vouching::counts     ? Word::counts
                 : word == identity::Vouching::no_grant ? Word::no_grant
                                                        : Word::no_class;
    owner.may_be_exempt = counts(true) == identity::Vouching::counts;
    if (of_class != nullptr && !of_class->groups && owner.credentials) {
        auto& told = *owner.credentials;
        told.gid.reset();
        told.groups.clear();
        told.labels.clear();
        told.labels_known = false;
        told.account.reset();
    }
}

Identities::Proof Identities::proof(const Address& address) const {
    const auto certificate = proven(*book_.lock(), address);
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
           known(*book, &peer, address, seconds_now()).empty();
}

} // namespace ubf::ident
