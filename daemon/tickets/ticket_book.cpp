#include "daemon/tickets/ticket_book.hpp"

#include <algorithm>
#include <utility>

namespace ubf {

TicketBook::Lost TicketBook::add(Ticket ticket, TimePoint now) {
    auto lost = expire(now);
    if (const auto same = by_target_.find(ticket.target);
        same != by_target_.end() && same->second.size() >= most_to_one) {
        remove(same->second.front());
        ++lost.evicted;
    }
    if (const auto held = number_of_.find(ticket.bearer.user);
        held != number_of_.end() && held->second >= most_of_one) {
        remove_oldest_of(ticket.bearer.user);
        ++lost.evicted;
    }
    if (tickets_.size() >= most) {
        remove(tickets_.begin());
        ++lost.evicted;
    }
    tickets_.push_back(std::move(ticket));
    const auto place = std::prev(tickets_.end());
    by_target_[place->target].push_back(place);
    ++number_of_[place->bearer.user];
    return lost;
}

// A reload may shorten their time, so that a later ticket expires first; spend() looks at each.
TicketBook::Lost TicketBook::expire(TimePoint now) {
    Lost lost;
    for (; !tickets_.empty() && tickets_.front().expires <= now; ++lost.expired)
        remove(tickets_.begin());
    return lost;
}

std::optional<Bearer> TicketBook::of(Cookie socket) const {
    const auto found = bound_.find(socket);
    return found == bound_.end() ? std::nullopt : std::optional(found->second.bearer);
}

// A ticket for this very source port comes before those for any.
std::optional<Bearer> TicketBook::spend(Uid portal, const Flow& flow, Cookie socket,
                                        TimePoint now) {
    const auto same = by_target_.find(flow.destination);
    if (same == by_target_.end())
        return std::nullopt;
    const Place none = tickets_.end();
    Place best = none;
    for (const auto& place : same->second)
        if (place->fits(portal, flow, now) && (best == none || (place->source && !best->source)))
            best = place;
    if (best == none)
        return std::nullopt;
    auto bearer = best->bearer;
    remove(best);
    bind(socket, bearer);
    return bearer;
}

void TicketBook::remove(Place ticket) {
    const auto same = by_target_.find(ticket->target);
    std::erase(same->second, ticket);
    if (same->second.empty())
        by_target_.erase(same);
    const auto held = number_of_.find(ticket->bearer.user);
    if (--held->second == 0)
        number_of_.erase(held);
    tickets_.erase(ticket);
}

void TicketBook::remove_oldest_of(Uid user) {
    remove(std::ranges::find_if(tickets_,
                                [&](const Ticket& ticket) { return ticket.bearer.user == user; }));
}

std::vector<TicketBook::Speaking> TicketBook::speaking() const {
    std::vector<Speaking> all;
    all.reserve(bound_.size());
    for (const Cookie socket : order_)
        all.push_back({socket, bound_.at(socket).bearer});
    return all;
}

void TicketBook::bind(Cookie socket, const Bearer& bearer) {
    forget(socket);
    if (bound_.size() >= most_bound)
        forget(order_.front());
    order_.push_back(socket);
    bound_.emplace(socket, Bound{bearer, std::prev(order_.end())});
}

bool TicketBook::forget(Cookie socket) {
    const auto found = bound_.find(socket);
    if (found == bound_.end())
        return false;
    order_.erase(found->second.place);
    bound_.erase(found);
    return true;
}

} // namespace ubf
