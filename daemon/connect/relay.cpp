#include "daemon/connect/relay.hpp"

#include <cerrno>
#include <sys/socket.h>
#include <utility>

namespace ubf::connect {
namespace {

constexpr std::size_t most = 65536; // bytes that wait for one side

bool is_temporary(int error) {
    return error == EAGAIN || error == EINTR;
}

} // namespace

Relay::Relay(EventLoop& loop, UniqueFd portal, UniqueFd program, std::function<void()> ended)
  : loop_(loop)
  , ended_(std::move(ended))
  , portal_{std::move(portal)}
  , program_{std::move(program)} {
    // Nothing is read before the program is there: the portal sees at once if it never is.
    loop_.watch(
        program_.socket.get(), [] {}, [this] { connected(); });
    loop_.watch_errors(program_.socket.get(), [this] { end(); });
    program_.writes = true;
}

Relay::~Relay() {
    forget(portal_);
    forget(program_);
}

void Relay::connected() {
    int error = 0;
    socklen_t length = sizeof error;
    if (::getsockopt(program_.socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) < 0 ||
        error != 0)
        return end();
    connecting_ = false;
    active_ = Clock::now();
    settle();
}

void Relay::read(Side& from, Side& to) {
    if (over_ || from.ended || !to.is_clear())
        return;
    to.waiting.resize(most);
    to.done = 0;
    const auto length = ::recv(from.socket.get(), to.waiting.data(), most, 0);
    const int error = errno;
    to.waiting.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    if (length < 0)
        return is_temporary(error) ? void() : end();
    active_ = Clock::now();
    from.ended = length == 0;
    if (!flush(to))
        return end();
    settle();
}

void Relay::write(Side& to) {
    if (over_)
        return;
    if (!flush(to))
        return end();
    settle();
}

// False if the side takes no more, ever.
bool Relay::flush(Side& to) {
    while (!to.is_clear()) {
        const auto length = ::send(to.socket.get(), to.waiting.data() + to.done,
                                   to.waiting.size() - to.done, MSG_NOSIGNAL);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return errno == EAGAIN;
        to.done += static_cast<std::size_t>(length);
    }
    return true;
}

void Relay::settle() {
    for (const auto& [from, to] : {std::pair(&portal_, &program_), std::pair(&program_, &portal_)})
        if (from->ended && to->is_clear() && !std::exchange(to->told, true))
            ::shutdown(to->socket.get(), SHUT_WR);
    if (portal_.told && program_.told)
        return end();
    watch(portal_, program_);
    watch(program_, portal_);
}

void Relay::forget(Side& side) {
    if (side.reads || side.writes)
        loop_.forget(side.socket.get());
    side.reads = side.writes = false;
}

// A side from which nothing is wanted is not watched at all: epoll would report its end for ever.
void Relay::watch(Side& side, Side& other) {
    const bool reads = !side.ended && other.is_clear();
    const bool writes = !side.is_clear();
    if (reads == side.reads && writes == side.writes)
        return;
    forget(side);
    if (!reads && !writes)
        return;
    side.reads = reads;
    side.writes = writes;
    const std::function<void()> none;
    loop_.watch(side.socket.get(), reads ? std::function<void()>([&] { read(side, other); }) : none,
                writes ? std::function<void()>([&] { write(side); }) : none);
}

void Relay::end() {
    if (std::exchange(over_, true))
        return;
    forget(portal_);
    forget(program_);
    ended_();
}

} // namespace ubf::connect
