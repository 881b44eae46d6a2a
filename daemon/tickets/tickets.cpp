#include "daemon/tickets/tickets.hpp"

#include <netinet/tcp.h>

namespace ubf {

void Tickets::set_portals(std::span<const Uid> users) {
    for (std::size_t i = 0; i < most_users; ++i)
        users_[i] = i < users.size() ? value(users[i]) : 0;
}

bool Tickets::is_portal(Uid uid) const {
    for (const auto& user : users_) {
        const auto number = user.load(std::memory_order_relaxed);
        if (number == 0)
            return false;
        if (number == value(uid))
            return true;
    }
    return false;
}

void Tickets::add(Ticket ticket, TimePoint now) {
    const auto lost = book_.lock()->add(std::move(ticket), now);
    counters_.expired.add(lost.expired);
    counters_.evicted.add(lost.evicted);
}

void Tickets::expire(TimePoint now) {
    counters_.expired.add(book_.lock()->expire(now).expired);
}

void Tickets::forget(std::span<const Cookie> gone) {
    const auto book = book_.lock();
    for (const Cookie socket : gone)
        changes_ += book->forget(socket) ? 1 : 0;
}

void Tickets::restore(std::span<const TicketBook::Speaking> sockets) {
    const auto book = book_.lock();
    for (const auto& known : sockets)
        book->restore(known);
}

void Tickets::keep_those_of(const std::function<bool(Uid)>& users) {
    changes_ += book_.lock()->keep_those_of(users) ? 1 : 0;
}

void Tickets::identify(SocketOwner& found, const Flow& flow, Use use) {
    const Uid portal = found.owner.uid;
    if (flow.protocol != Protocol::tcp || found.owner.kind != OwnerKind::user || !is_portal(portal))
        return;
    const Cookie socket = found.socket.cookie;
    const bool opens = found.socket.state == TCP_SYN_SENT;
    const bool may_spend = use == Use::spend && opens;
    std::optional<Bearer> bearer;
    bool spent = false;
    {
        const auto book = book_.lock();
        const auto now = clock_();
        bearer = opens ? book->opening(socket, flow, now) : book->of(socket, flow);
        if (!bearer && may_spend) {
            bearer = book->spend(portal, flow, socket, now);
            spent = bearer.has_value();
        }
    }
    if (spent) {
        counters_.spent.add();
        ++changes_;
    }
    if (!bearer) {
        if (may_spend)
            counters_.missing.add();
        return;
    }
    found.owner = Owner::user(bearer->user);
    found.owner.via = portal;
}

Process Tickets::program_of(Cookie socket) {
    return book_.lock()->program_of(socket);
}

} // namespace ubf
