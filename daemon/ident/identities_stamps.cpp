// The part of an identity that lets the kernel recognise connections of proven peers. A peer has
// proven itself by what it sealed for this node's key, so it has the keys of the pair as well.
#include "daemon/ident/identities.hpp"

#include <algorithm>

namespace ubf::ident {
namespace {

using identity::Epoch;
using identity::epoch_of;

// This epoch, and the next or the last, whichever is nearer: clocks differ.
std::array<Epoch, 2> epochs_at(Milliseconds now) {
    constexpr Milliseconds half{std::int64_t{1} << (identity::epoch_bits - 1)};
    const auto current = epoch_of(now);
    const bool early = epoch_of(now + half) == current;
    return {current, early ? epoch_of(now - 2 * half) : epoch_of(now + 2 * half)};
}

} // namespace

void Identities::set_stamps(std::shared_ptr<StampKeys> stamps) {
    const auto book = book_.lock();
    book->stamps = std::move(stamps);
    ++book->stamps_set;
}

// The certificate by which the peer is proven, if that still is good.
Identities::Known Identities::proven(const Book& book, const Address& address,
                                     identity::Seconds now) {
    const auto found = book.peers.all().find(address);
    if (found == book.peers.all().end() || !found->second.state.proven)
        return nullptr;
    const auto& peer = found->second.state;
    if (const auto& last = peer.certificate;
        last && last->serial == *peer.proven && !last->valid.fault(now))
        return last;
    for (auto& certificate : known(book, &peer, address, now))
        if (certificate->serial == *peer.proven)
            return certificate;
    return nullptr; // revoked or expired meanwhile
}

const StampKeys::Epochs& Identities::Pair::stamping(const identity::NodeKey& own,
                                                    Milliseconds wall) {
    const auto epochs = epochs_at(wall);
    if (!stamps || stamps->numbers != epochs) {
        const auto key = [&](const auto& from, const auto& to, Epoch epoch) {
            return pair_key(shared, from, to, identity::purpose_stamp, epoch);
        };
        const auto& ours = own.public_key();
        stamps = std::make_unique<StampKeys::Epochs>(StampKeys::Epochs{
            epochs,
            {key(their_key, ours, epochs[0]), key(their_key, ours, epochs[1])},
            {key(ours, their_key, epochs[0]), key(ours, their_key, epochs[1])},
        });
    }
    return *stamps;
}

// The keys for stamps that go with those by which the peer sealed last.
std::optional<StampKeys::Pair> Identities::stamps_of(Book& book, const Address& node) const {
    const auto certificate = proven(book, node, own_.clocks.seconds());
    auto* entry = book.peers.find(node);
    if (!certificate || entry == nullptr || !entry->state.used)
        return std::nullopt;
    const auto used = *entry->state.used;
    const auto* mine = own_.keys.find(used.mine);
    if (mine == nullptr || used.theirs != certificate->key)
        return std::nullopt;
    auto* pair = entry->state.pair_with(*mine, used.theirs);
    if (pair == nullptr)
        return std::nullopt;
    return StampKeys::Pair{pair->mine, pair->theirs, certificate->valid.until,
                           pair->stamping(*mine, own_.clocks.wall())};
}

void Identities::note_end(const Address& node, const Address& end) {
    std::shared_ptr<StampKeys> stamps;
    std::optional<StampKeys::Pair> pair;
    {
        const auto book = book_.lock();
        stamps = book->stamps; // those of this roster
        if (!stamps || end.is_link_local())
            return;
        pair = stamps_of(*book, node);
    }
    if (pair)
        stamps->learn(end, *pair);
}

void Identities::note_word(const Address& node, const Address& end, Uid uid) const {
    std::shared_ptr<StampKeys> stamps;
    std::optional<identity::Seconds> until;
    {
        const auto book = book_.lock();
        stamps = book->stamps;
        if (!stamps || end.is_link_local())
            return;
        until = word_counts_until(*book, node, uid);
    }
    if (until)
        stamps->count_word(end, uid, *until);
}

// Nothing if the node's word about this user does not count.
std::optional<identity::Seconds> Identities::word_counts_until(const Book& book,
                                                               const Address& node, Uid uid) const {
    const auto certificate = proven(book, node, own_.clocks.seconds());
    if (!certificate)
        return std::nullopt;
    auto until = certificate->valid.until;
    if (own_.classes.empty())
        return until;
    const auto* of_class = own_.rule_of(certificate->node_class);
    const auto now = own_.clocks.seconds();
    const auto grants = book.grants.find(certificate->name, uid, *book.roster, now);
    if (may_vouch(of_class, certificate->name, {false, uid, false}, grants, now) !=
        identity::Vouching::counts)
        return std::nullopt;
    if (of_class->jobs)
        for (const auto& grant : grants)
            until = std::min(until, grant.valid.until);
    return until;
}

} // namespace ubf::ident
