#include "daemon/gate/exempt_listeners.hpp"

#include "nft/sets.hpp"

#include <cerrno>
#include <linux/capability.h>

namespace ubf {
namespace {

constexpr std::size_t most = nft::room_for_listeners;
// The pause before the kernel is told again, as when another program's transaction was under way.
constexpr std::chrono::milliseconds retry_pause{50};

} // namespace

ExemptListeners::ExemptListeners(nft::Connection& table, FlowCounters& counters)
  : counters_(counters)
  , sets_(table) {
    clear(); // where the table is there already
    thread_.loop().watch(notices_.fd(), [this] { receive(); });
    thread_.start("listeners", {CAP_NET_ADMIN},
                  {[this] { return clear_at_; }, [this](TimePoint now) { go_on(now); }});
}

void ExemptListeners::go_on(TimePoint now) {
    if (clear_at_ && *clear_at_ <= now)
        clear();
    places_.erase_expired(now);
    if (places_.empty() && notices_.begun())
        notices_.end();
}

void ExemptListeners::add(const nft::ListenerKey& place, Cookie cookie, Uid holder) {
    thread_.post([=, this] { keep(place, cookie, holder); });
}

void ExemptListeners::forget_all() {
    thread_.post([this] { clear(); });
}

void ExemptListeners::keep(const nft::ListenerKey& place, Cookie cookie, Uid holder) {
    if (clear_at_ || (!notices_.begun() && notices_.begin() != 0))
        return;
    receive();
    const auto now = Clock::now();
    places_.erase_expired(now);
    if (places_.has(place, cookie) || !is_there(place, cookie))
        return;
    if (places_.held() >= most) {
        counters_.sets_full.add();
        clear(); // those that are asked for come again
    }
    if (const int error = sets_.exempt(place, holder, ExemptPlaces::in_kernel); error != 0) {
        if (error != ENFILE && error != ENOENT)
            clear(); // the kernel may have it, if its answer was lost
        return;
    }
    places_.add(place, cookie, holder, now);
    // Its notice may be on its way, and somebody else be there already.
    if (!is_there(place, cookie))
        forget(cookie);
}

bool ExemptListeners::is_there(const nft::ListenerKey& place, Cookie cookie) {
    const auto found = lookup_.listener(place.endpoint, place.interface);
    return found && found->socket.cookie == cookie;
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
    const auto ended = places_.end(cookie);
    if (!ended)
        return;
    if (ended->shared)
        return clear();
    for (const auto& place : ended->places)
        if (sets_.forget_exempt(place, ended->holder) != 0)
            return clear();
}

// If the kernel can't be told, it lets in whoever listens there next. So it is told again, and no
// listener is added before it has forgotten all.
void ExemptListeners::clear() {
    places_.clear();
    const int error = sets_.clear_exempt();
    if (error == 0 || error == ENOENT) {
        clear_at_.reset();
        return;
    }
    if (!clear_at_)
        counters_.not_ended.add();
    clear_at_ = Clock::now() + retry_pause;
}

} // namespace ubf
