#include "daemon/gate/exempt_listeners.hpp"

#include "nft/sets.hpp"

#include <algorithm>
#include <linux/capability.h>

namespace ubf {
namespace {

// How long the kernel may answer by itself: should a notice get lost, no longer than this.
constexpr std::chrono::seconds exempt_for{60};
constexpr std::size_t most = nft::room_for_listeners;

} // namespace

ExemptListeners::ExemptListeners(nft::Connection& table, FlowCounters& counters)
  : counters_(counters)
  , sets_(table) {
    sets_.clear_exempt(); // where the table is there already
    thread_.loop().watch(notices_.fd(), [this] { receive(); });
    thread_.start("listeners", {CAP_NET_ADMIN},
                  {[] { return std::nullopt; }, [this](TimePoint now) { go_on(now); }});
}

void ExemptListeners::go_on(TimePoint now) {
    erase_expired(now);
    if (listeners_.empty() && notices_.begun())
        notices_.end();
}

void ExemptListeners::add(const nft::ListenerKey& place, Cookie cookie, Uid holder) {
    thread_.post([=, this] { keep(place, cookie, holder); });
}

void ExemptListeners::forget_all() {
    thread_.post([this] { clear(); });
}

void ExemptListeners::keep(const nft::ListenerKey& place, Cookie cookie, Uid holder) {
    if (!notices_.begun() && notices_.begin() != 0)
        return;
    receive();
    const auto now = Clock::now();
    erase_expired(now);
    const auto known = listeners_.find(cookie);
    if ((known != listeners_.end() && known->second.places.contains(place)) ||
        !is_there(place, cookie))
        return;
    if (expiries_.size() >= most) {
        counters_.sets_full.add();
        clear(); // those that are asked for come again
    }
    if (sets_.exempt(place, holder, exempt_for) != 0)
        return;
    auto& listener = listeners_[cookie];
    listener.holder = holder;
    listener.places.insert(place);
    expiries_.add(now + exempt_for, {cookie, place});
    ++size_;
    // Its notice may be on its way, and somebody else be there already.
    if (!is_there(place, cookie))
        forget(cookie);
}

bool ExemptListeners::is_there(const nft::ListenerKey& place, Cookie cookie) {
    const auto found = lookup_.listener(place.endpoint, place.interface);
    return found && found->socket.cookie == cookie;
}

// The kernel lets them go by itself.
void ExemptListeners::erase_expired(TimePoint now) {
    while (const auto due = expiries_.take(now)) {
        const auto& [cookie, place] = due->key;
        if (const auto found = listeners_.find(cookie); found != listeners_.end()) {
            size_ -= found->second.places.erase(place);
            if (found->second.places.empty())
                listeners_.erase(found);
        }
    }
}

void ExemptListeners::receive() {
    gone_.clear();
    const bool complete = notices_.receive(gone_);
    for (const Cookie cookie : gone_)
        forget(cookie);
    if (complete)
        return;
    counters_.notices_lost.add();
    clear();
}

void ExemptListeners::forget(Cookie cookie) {
    const auto node = listeners_.extract(cookie);
    if (!node)
        return;
    const auto& [holder, places] = node.mapped();
    size_ -= places.size();
    for (const auto& place : places)
        if (sets_.forget_exempt(place, holder) != 0 || has(place.endpoint))
            return clear();
}

// On another interface; then what guards its answers is gone.
bool ExemptListeners::has(const Endpoint& place) const {
    return std::ranges::any_of(listeners_, [&](const auto& entry) {
        return std::ranges::any_of(entry.second.places, [&](const nft::ListenerKey& key) {
            return key.endpoint == place;
        });
    });
}

void ExemptListeners::clear() {
    sets_.clear_exempt();
    listeners_.clear();
    expiries_.clear();
    size_ = 0;
}

} // namespace ubf
