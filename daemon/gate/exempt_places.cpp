#include "daemon/gate/exempt_places.hpp"

#include <algorithm>

namespace ubf {

bool ExemptPlaces::has(const nft::ListenerKey& place, Cookie cookie) const {
    const auto known = listeners_.find(cookie);
    return known != listeners_.end() && known->second.places.contains(place);
}

bool ExemptPlaces::has(const Endpoint& endpoint) const {
    return std::ranges::any_of(listeners_, [&](const auto& entry) {
        return std::ranges::any_of(entry.second.places, [&](const nft::ListenerKey& place) {
            return place.endpoint == endpoint;
        });
    });
}

void ExemptPlaces::add(const nft::ListenerKey& place, Cookie cookie, Uid holder, TimePoint now) {
    auto& listener = listeners_[cookie];
    listener.holder = holder;
    if (!listener.places.insert(place).second)
        return;
    expiries_.add(now + in_memory, {cookie, place});
    ++size_;
}

void ExemptPlaces::erase_expired(TimePoint now) {
    while (const auto due = expiries_.take(now)) {
        const auto& [cookie, place] = due->key;
        const auto found = listeners_.find(cookie);
        if (found == listeners_.end())
            continue;
        size_ -= found->second.places.erase(place);
        if (found->second.places.empty())
            listeners_.erase(found);
    }
}

std::optional<ExemptPlaces::Ended> ExemptPlaces::end(Cookie cookie) {
    auto node = listeners_.extract(cookie);
    if (!node)
        return std::nullopt;
    auto& [holder, places] = node.mapped();
    size_ -= places.size();
    const bool shared = std::ranges::any_of(
        places, [this](const nft::ListenerKey& place) { return has(place.endpoint); });
    return Ended{holder, std::move(places), shared};
}

void ExemptPlaces::clear() {
    listeners_.clear();
    expiries_.clear();
    size_ = 0;
}

} // namespace ubf
