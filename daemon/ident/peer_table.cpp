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
    const std::lock_guard lock(mutex_);
    auto* peer = peers_.add(address);
    if (peer != nullptr)
        ++peer->state.questions;
    return peer != nullptr && peer->proven();
}

void PeerTable::answered(const Address& address, std::chrono::nanoseconds took,
                         std::chrono::milliseconds ahead) {
    const std::lock_guard lock(mutex_);
    auto& peer = peers_.prove(address).state;
    ++peer.answers;
    note_proof(peer);
    peer.clock_ahead = ahead;
    if (!peer.times)
        peer.times = std::make_unique<Histogram>();
    peer.times->add(took);
}

bool PeerTable::heard(const Address& address) {
    const std::lock_guard lock(mutex_);
    auto& peer = peers_.prove(address).state;
    const bool was_silent = peer.silent_since.has_value();
    note_proof(peer);
    return was_silent;
}

void PeerTable::note_proof(State& peer) {
    peer.silent_since.reset();
    peer.silent_again = false;
    peer.version.reset();
    peer.proven_at = Clock::now();
}

PeerTable::Say PeerTable::timed_out(const Address& address, TimePoint asked, TimePoint now) {
    constexpr std::chrono::minutes minute{1};
    const std::lock_guard lock(mutex_);
    auto* entry = peers_.add(address);
    if (entry == nullptr)
        return Say::nothing;
    peers_.doubt(*entry);
    auto& peer = entry->state;
    ++peer.timeouts;
    if (!peer.silent_since)
        peer.silent_since = now;
    else if (asked >= *peer.silent_since)
        peer.silent_again = true;
    if (peer.logged != TimePoint{} && now - peer.logged < minute)
        return Say::nothing;
    if (now - named_since_ >= minute) {
        named_since_ = now;
        named_ = 0;
    }
    peer.logged = now;
    if (named_ > most_named)
        return Say::nothing;
    return ++named_ > most_named ? Say::and_more : Say::silent;
}

PeerTable::Standing PeerTable::standing(const Address& address, TimePoint now) const {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.all().find(address);
    if (found == peers_.all().end())
        return Standing::unknown;
    if (found->second.proven())
        return Standing::proven;
    const auto& state = found->second.state;
    if (!state.silent_since)
        return Standing::unknown;
    // A busy node may answer late once. If it misses two answers, no ubfd is likely to be there.
    const bool was_there = state.proven_at && now - *state.proven_at < patience;
    const bool is_doubtful = !state.silent_again || was_there || now < forgiven_until_;
    return is_doubtful ? Standing::doubtful : Standing::silent;
}

bool PeerTable::may_try(const Address& address, TimePoint now) {
    constexpr std::chrono::seconds pause{1};
    const std::lock_guard lock(mutex_);
    auto* entry = peers_.find(address);
    return entry == nullptr || is_due(entry->state.tried, pause, now);
}

void PeerTable::refused(const Address& address, TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (auto* entry = peers_.find(address))
        entry->state.refused_at = now;
}

bool PeerTable::refuses(const Address& address, TimePoint since) const {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.all().find(address);
    if (found == peers_.all().end() || found->second.proven())
        return false;
    const auto& state = found->second.state;
    const bool was_there = state.proven_at && since - *state.proven_at < patience;
    const bool told = state.refused_at >= since || (state.version && state.version_heard >= since);
    return told && !was_there && since >= forgiven_until_;
}

void PeerTable::speaks(const Address& address, std::uint8_t version, TimePoint now) {
    const std::lock_guard lock(mutex_);
    auto* entry = peers_.add(address);
    if (entry == nullptr)
        return;
    versions_changed_ = true;
    entry->state.version = version;
    entry->state.version_heard = now;
}

std::optional<std::uint8_t> PeerTable::other_version(const Address& address) const {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.all().find(address);
    return found == peers_.all().end() ? std::nullopt : found->second.state.version;
}

std::chrono::milliseconds PeerTable::clock_ahead(const Address& address) const {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.all().find(address);
    return found == peers_.all().end() ? std::chrono::milliseconds{}
                                       : found->second.state.clock_ahead;
}

void PeerTable::clock_seen(const Address& address, std::chrono::milliseconds ahead) {
    const std::lock_guard lock(mutex_);
    if (auto* entry = peers_.add(address)) {
        entry->state.other_clock = ahead;
        clocks_changed_ = true;
    }
}

std::vector<std::pair<Address, std::chrono::milliseconds>>
PeerTable::take_other_clocks(TimePoint now) {
    constexpr std::chrono::hours pause{1};
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<Address, std::chrono::milliseconds>> result;
    if (!std::exchange(clocks_changed_, false))
        return result;
    for (const auto& [address, entry] : peers_.all()) {
        auto& state = peers_.find(address)->state;
        const auto ahead = std::exchange(state.other_clock, std::nullopt);
        if (!ahead || (state.clock_logged && now - *state.clock_logged < pause))
            continue;
        state.clock_logged = now;
        result.emplace_back(address, *ahead);
    }
    return result;
}

bool PeerTable::may_tell_version(const Address& address, TimePoint now) {
    constexpr std::chrono::seconds pause{1};
    const std::lock_guard lock(mutex_);
    auto* entry = peers_.find(address);
    return entry != nullptr && is_due(entry->state.version_told, pause, now);
}

std::vector<std::pair<Address, std::uint8_t>> PeerTable::take_other_versions(TimePoint now) {
    constexpr std::chrono::hours pause{1};
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<Address, std::uint8_t>> result;
    if (!std::exchange(versions_changed_, false))
        return result;
    for (const auto& [address, entry] : peers_.all()) {
        auto& state = peers_.find(address)->state;
        if (!state.version || (state.version_logged && now - *state.version_logged < pause))
            continue;
        state.version_logged = now;
        result.emplace_back(address, *state.version);
    }
    return result;
}

void PeerTable::forgive_until(TimePoint when) {
    const std::lock_guard lock(mutex_);
    forgiven_until_ = std::max(forgiven_until_, when);
}

std::vector<Address> PeerTable::addresses() const {
    const std::lock_guard lock(mutex_);
    std::vector<Address> result;
    result.reserve(peers_.all().size());
    for (const auto& [address, entry] : peers_.all())
        result.push_back(address);
    return result;
}

std::vector<PeerTable::Peer> PeerTable::list() const {
    constexpr std::size_t at_once = 256;
    const auto known = addresses();
    std::vector<Peer> result;
    for (std::size_t first = 0; first < known.size(); first += at_once) {
        const std::lock_guard lock(mutex_);
        for (auto i = first; i < std::min(first + at_once, known.size()); ++i) {
            const auto found = peers_.all().find(known[i]);
            if (found == peers_.all().end() || found->second.state.questions == 0)
                continue;
            const auto& state = found->second.state;
            Peer peer{known[i], state.questions, state.answers, state.timeouts,
                      state.silent_since.has_value()};
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
