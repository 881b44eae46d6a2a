#include "daemon/ident/peer_table.hpp"

#include <algorithm>
#include <cmath>

namespace ubf {

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

PeerTable::State* PeerTable::find(const Address& address) {
    if (const auto found = peers_.find(address); found != peers_.end())
        return &found->second;
    return peers_.size() < most ? &peers_[address] : nullptr;
}

void PeerTable::asked(const Address& address) {
    const std::lock_guard lock(mutex_);
    if (auto* peer = find(address))
        ++peer->questions;
}

void PeerTable::answered(const Address& address, std::chrono::nanoseconds took) {
    const std::lock_guard lock(mutex_);
    if (auto* peer = find(address)) {
        ++peer->answers;
        peer->silent = false;
        peer->times.add(took);
    }
}

PeerTable::Say PeerTable::timed_out(const Address& address, TimePoint now) {
    constexpr std::chrono::minutes minute{1};
    const std::lock_guard lock(mutex_);
    auto* peer = find(address);
    if (peer == nullptr)
        return Say::nothing;
    ++peer->timeouts;
    peer->silent = true;
    if (peer->logged != TimePoint{} && now - peer->logged < minute)
        return Say::nothing;
    if (now - named_since_ >= minute) {
        named_since_ = now;
        named_ = 0;
    }
    peer->logged = now;
    if (named_ > most_named)
        return Say::nothing;
    return ++named_ > most_named ? Say::and_more : Say::silent;
}

PeerTable::Standing PeerTable::standing(const Address& address) const {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.find(address);
    if (found == peers_.end())
        return Standing::unknown;
    if (found->second.silent)
        return Standing::silent;
    return found->second.answers > 0 ? Standing::answers : Standing::unknown;
}

std::vector<PeerTable::Peer> PeerTable::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Peer> result;
    for (const auto& [address, state] : peers_)
        result.push_back({address, state.questions, state.answers, state.timeouts, state.silent,
                          state.times.quantile(0.5), state.times.quantile(0.99)});
    std::ranges::sort(result, {}, &Peer::address);
    return result;
}

} // namespace ubf
