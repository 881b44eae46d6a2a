#include "daemon/ident/peer_table.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace ubf {
namespace {

// Whether the pause since `last` is over; if so, the next one begins.
bool is_due(TimePoint& last, std::chrono::seconds pause, TimePoint now) {
    if (now - last < pause)
        return false;
    last = now;
    return true;
}

} // namespace

void PeerTable::Histogram::add(std::chrono::nanoseconds took) {
    const double us = std::max(1.0, static_cast<double>(took.count()) / 1000.0);
    const auto step = static_cast<std::size_t>(std::log2(us) * static_cast<double>(steps));
    ++counts_[std::min(step, counts_.size() - 1)];
    ++total_;
}

std::chrono::microseconds PeerTable::Histogram::quantile(double part) const {
    const auto rank = static_cast<std::uint64_t>(part * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t step = 0; step < counts_.size(); ++step) {
        seen += counts_[step];
        if (seen > rank) {
            const auto middle = (static_cast<double>(step) + 0.5) / static_cast<double>(steps);
            return std::chrono::microseconds(std::lround(std::exp2(middle)));
        }
    }
    return {};
}

bool PeerTable::asked(const Address& address) {
    const auto book = book_.lock();
    auto* peer = book->peers.add(address);
    if (peer != nullptr)
        ++peer->state.questions;
    return peer != nullptr && peer->proven();
}

void PeerTable::answered(const Address& address, std::chrono::nanoseconds took,
                         std::chrono::milliseconds ahead, TimePoint now) {
    const auto book = book_.lock();
    auto& peer = book->peers.prove(address).state;
    ++peer.answers;
    note_proof(peer, now);
    peer.clock.ahead = ahead;
    if (!peer.times)
        peer.times = std::make_unique<Histogram>();
    peer.times->add(took);
}

bool PeerTable::heard(const Address& address, TimePoint now) {
    const auto book = book_.lock();
    auto& peer = book->peers.prove(address).state;
    const bool was_silent = peer.silent_since.has_value();
    note_proof(peer, now);
    return was_silent;
}

void PeerTable::note_proof(State& peer, TimePoint now) {
    peer.silent_since.reset();
    peer.silent_again = false;
    peer.version.spoken.reset();
    peer.proven_at = now;
}

PeerTable::Say PeerTable::timed_out(const Address& address, TimePoint asked, TimePoint now) {
    constexpr std::chrono::minutes minute{1};
    const auto book = book_.lock();
    auto* entry = book->peers.add(address);
    if (entry == nullptr)
        return Say::nothing;
    book->peers.doubt(*entry);
    auto& peer = entry->state;
    ++peer.timeouts;
    if (!peer.silent_since)
        peer.silent_since = now;
    else if (asked >= *peer.silent_since)
        peer.silent_again = true;
    if (peer.logged != TimePoint{} && now - peer.logged < minute)
        return Say::nothing;
    if (now - book->named_since >= minute) {
        book->named_since = now;
        book->named = 0;
    }
    peer.logged = now;
    if (book->named > most_named)
        return Say::nothing;
    return ++book->named > most_named ? Say::and_more : Say::silent;
}

PeerTable::Standing PeerTable::standing(const Address& address, TimePoint now) const {
    const auto book = book_.lock();
    const auto found = book->peers.all().find(address);
    if (found == book->peers.all().end())
        return Standing::unknown;
    if (found->second.proven())
        return Standing::proven;
    const auto& state = found->second.state;
    if (!state.silent_since)
        return Standing::unknown;
    // A busy node may answer late once. If it misses two answers, no ubfd is likely to be there.
    const bool was_there = state.proven_at && now - *state.proven_at < patience;
    const bool is_doubtful = !state.silent_again || was_there || now < book->forgiven_until;
    return is_doubtful ? Standing::doubtful : Standing::silent;
}

bool PeerTable::may_try(const Address& address, TimePoint now) {
    constexpr std::chrono::seconds pause{1};
    const auto book = book_.lock();
    auto* entry = book->peers.find(address);
    return entry == nullptr || is_due(entry->state.tried, pause, now);
}

void PeerTable::refused(const Address& address, TimePoint now) {
    const auto book = book_.lock();
    if (auto* entry = book->peers.find(address))
        entry->state.refused_at = now;
}

bool PeerTable::refuses(const Address& address, TimePoint since) const {
    const auto book = book_.lock();
    const auto found = book->peers.all().find(address);
    if (found == book->peers.all().end() || found->second.proven())
        return false;
    const auto& state = found->second.state;
    const bool was_there = state.proven_at && since - *state.proven_at < patience;
    const bool told =
        state.refused_at >= since || (state.version.spoken && state.version.heard >= since);
    return told && !was_there && since >= book->forgiven_until;
}

void PeerTable::speaks(const Address& address, std::uint8_t version, TimePoint now) {
    const auto book = book_.lock();
    auto* entry = book->peers.add(address);
    if (entry == nullptr)
        return;
    book->versions_changed = true;
    entry->state.version.spoken = version;
    entry->state.version.heard = now;
}

std::optional<std::uint8_t> PeerTable::other_version(const Address& address) const {
    const auto book = book_.lock();
    const auto found = book->peers.all().find(address);
    return found == book->peers.all().end() ? std::nullopt : found->second.state.version.spoken;
}

std::chrono::milliseconds PeerTable::clock_ahead(const Address& address) const {
    const auto book = book_.lock();
    const auto found = book->peers.all().find(address);
    return found == book->peers.all().end() ? std::chrono::milliseconds{}
                                            : found->second.state.clock.ahead;
}

void PeerTable::clock_seen(const Address& address, std::chrono::milliseconds ahead) {
    const auto book = book_.lock();
    if (auto* entry = book->peers.add(address)) {
        entry->state.clock.to_log = ahead;
        book->clocks_changed = true;
    }
}

std::vector<std::pair<Address, std::chrono::milliseconds>>
PeerTable::take_other_clocks(TimePoint now) {
    constexpr std::chrono::hours pause{1};
    const auto book = book_.lock();
    std::vector<std::pair<Address, std::chrono::milliseconds>> result;
    if (!std::exchange(book->clocks_changed, false))
        return result;
    for (const auto& [address, entry] : book->peers.all()) {
        auto& state = book->peers.find(address)->state;
        const auto ahead = std::exchange(state.clock.to_log, std::nullopt);
        if (!ahead || (state.clock.logged && now - *state.clock.logged < pause))
            continue;
        state.clock.logged = now;
        result.emplace_back(address, *ahead);
    }
    return result;
}

bool PeerTable::may_tell_version(const Address& address, TimePoint now) {
    constexpr std::chrono::seconds pause{1};
    const auto book = book_.lock();
    auto* entry = book->peers.find(address);
    return entry != nullptr && is_due(entry->state.version.told, pause, now);
}

std::vector<std::pair<Address, std::uint8_t>> PeerTable::take_other_versions(TimePoint now) {
    constexpr std::chrono::hours pause{1};
    const auto book = book_.lock();
    std::vector<std::pair<Address, std::uint8_t>> result;
    if (!std::exchange(book->versions_changed, false))
        return result;
    for (const auto& [address, entry] : book->peers.all()) {
        auto& state = book->peers.find(address)->state;
        if (!state.version.spoken || (state.version.logged && now - *state.version.logged < pause))
            continue;
        state.version.logged = now;
        result.emplace_back(address, *state.version.spoken);
    }
    return result;
}

void PeerTable::forgive_until(TimePoint when) {
    const auto book = book_.lock();
    book->forgiven_until = std::max(book->forgiven_until, when);
}

std::vector<Address> PeerTable::addresses() const {
    const auto book = book_.lock();
    std::vector<Address> result;
    result.reserve(book->peers.all().size());
    for (const auto& [address, entry] : book->peers.all())
        result.push_back(address);
    return result;
}

std::vector<PeerTable::Peer> PeerTable::list() const {
    constexpr std::size_t at_once = 256;
    const auto known = addresses();
    std::vector<Peer> result;
    for (std::size_t first = 0; first < known.size(); first += at_once) {
        const auto book = book_.lock();
        for (auto i = first; i < std::min(first + at_once, known.size()); ++i) {
            const auto found = book->peers.all().find(known[i]);
            if (found == book->peers.all().end() || found->second.state.questions == 0)
                continue;
            const auto& state = found->second.state;
            Peer peer{known[i], state.questions, state.answers, state.timeouts,
                      state.silent_since.has_value()};
            peer.clock_ahead = state.clock.ahead;
            if (state.times) {
                peer.p50 = state.times->quantile(0.5);
                peer.p99 = state.times->quantile(0.99);
            }
            result.push_back(peer);
        }
    }
    std::ranges::sort(result, {}, &Peer::address);
    return result;
}

std::vector<PeerTable::Peer> worst(std::vector<PeerTable::Peer> peers, std::size_t most) {
    const auto rank = [](const PeerTable::Peer& peer) {
        return std::tuple(!peer.silent, -peer.p99, peer.address);
    };
    const auto count = std::min(most, peers.size());
    std::ranges::partial_sort(peers, peers.begin() + static_cast<std::ptrdiff_t>(count), {}, rank);
    peers.resize(count);
    return peers;
}

} // namespace ubf
