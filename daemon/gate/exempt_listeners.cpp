#include "daemon/gate/exempt_listeners.hpp"

#include "daemon/core/thread.hpp"
#include "nft/sets.hpp"

#include <linux/capability.h>

namespace ubf {
namespace {

// How long the kernel may answer by itself: should a notice get lost, no longer than this.
constexpr std::chrono::seconds exempt_for{60};
constexpr std::size_t most = nft::room_for_listeners;

} // namespace

ExemptListeners::ExemptListeners(nft::Connection& table, Counters& counters)
  : counters_(counters)
  , sets_(table) {
    sets_.clear_exempt(); // where the table is there already
    loop_.watch(notices_.fd(), [this] { receive(); });
    loop_.watch(mailbox_.fd(), [this] { mailbox_.run(); });
    thread_ = std::thread([this] { run(); });
}

ExemptListeners::~ExemptListeners() {
    mailbox_.post([this] { stopping_ = true; });
    thread_.join();
}

void ExemptListeners::run() {
    enter_thread("listeners", {CAP_NET_ADMIN});
    while (!stopping_) {
        loop_.run_once(Clock::now() + Heartbeat::period);
        const auto now = Clock::now();
        heartbeat_.beat(now);
        erase_expired(now);
        if (places_.empty() && notices_.begun())
            notices_.end();
    }
}

void ExemptListeners::add(const nft::ListenerKey& place, Cookie cookie) {
    mailbox_.post([=, this] { keep(place, cookie); });
}

void ExemptListeners::forget_all() {
    mailbox_.post([this] { clear(); });
}

void ExemptListeners::keep(const nft::ListenerKey& place, Cookie cookie) {
    if (!notices_.begun() && notices_.begin() != 0)
        return;
    receive();
    const auto now = Clock::now();
    erase_expired(now);
    const auto known = places_.find(cookie);
    if ((known != places_.end() && known->second.contains(place)) || !is_there(place, cookie))
        return;
    if (expiries_.size() >= most) {
        counters_.sets_full.add();
        clear(); // those that are asked for come again
    }
    if (sets_.exempt(place, exempt_for) != 0)
        return;
    places_[cookie].insert(place);
    expiries_.push_back({now + exempt_for, cookie, place});
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
    while (!expiries_.empty() && expiries_.front().when <= now) {
        const auto& expiry = expiries_.front();
        if (const auto found = places_.find(expiry.cookie); found != places_.end()) {
            size_ -= found->second.erase(expiry.place);
            if (found->second.empty())
                places_.erase(found);
        }
        expiries_.pop_front();
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
    const auto node = places_.extract(cookie);
    if (!node)
        return;
    size_ -= node.mapped().size();
    for (const auto& place : node.mapped())
        if (sets_.forget_exempt(place) != 0)
            return clear();
}

void ExemptListeners::clear() {
    sets_.clear_exempt();
    places_.clear();
    expiries_.clear();
    size_ = 0;
}

} // namespace ubf
