#include "daemon/tickets/ticket_book.hpp"

#include <algorithm>
#include <utility>

namespace ubf {

TicketBook::Lost TicketBook::add(Ticket ticket, TimePoint now) {
    auto lost = expire(now);
    if (const auto same = by_target_.find(ticket.target);
        same != by_target_.end() && same->second.size() >= most_to_one) {
        remove_one_to(ticket.target);
        ++lost.evicted;
    }
    if (const auto held = number_of_.find(ticket.bearer.user);
        held != number_of_.end() && held->second >= most_of_one) {
        remove_oldest_of(ticket.bearer.user);
        ++lost.evicted;
    }
    if (tickets_.size() >= most) {
        remove_one();
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

std::optional<Bearer> TicketBook::of(Cookie socket, const Flow& flow) const {
    const auto found = bound_.find(socket);
    const bool speaks = found != bound_.end() && found->second.flow == flow;
    return speaks ? std::optional(found->second.bearer) : std::nullopt;
}

std::optional<Bearer> TicketBook::opening(Cookie socket, const Flow& flow, TimePoint now) const {
    auto bearer = of(socket, flow);
    return bearer && now < bound_.at(socket).opening_until ? std::move(bearer) : std::nullopt;
}

Process TicketBook::program_of(Cookie socket) const {
    const auto found = bound_.find(socket);
    const bool known = found != bound_.end() && found->second.bearer.program;
    return known ? *found->second.bearer.program : Process{};
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
    bind({socket, flow, bearer}, now + most_opening);
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

bool TicketBook::keep_those_of(const std::function<bool(Uid)>& users) {
    for (auto ticket = tickets_.begin(); ticket != tickets_.end();) {
        const auto next = std::next(ticket);
        if (!users(ticket->bearer.user))
            remove(ticket);
        ticket = next;
    }
    bool changed = false;
    for (const auto& each : speaking())
        if (!users(each.bearer.user))
            changed = forget(each.socket);
    return changed;
}

// Those who ask often and never connect lose their own.
void TicketBook::remove_one_to(const Endpoint& target) {
    const auto& there = by_target_.at(target);
    std::map<Uid, std::ptrdiff_t> numbers;
    for (const auto& place : there)
        ++numbers[place->bearer.user];
    remove(*std::ranges::max_element(
        there, {}, [&](const Place& place) { return numbers[place->bearer.user]; }));
}

void TicketBook::remove_one() {
    remove(std::ranges::max_element(
        tickets_, {}, [this](const Ticket& ticket) { return number_of_.at(ticket.bearer.user); }));
}

std::vector<TicketBook::Speaking> TicketBook::speaking() const {
    std::vector<Speaking> all;
    all.reserve(bound_.size());
    for (const Cookie socket : order_)
        all.push_back({socket, bound_.at(socket).flow, bound_.at(socket).bearer});
    return all;
}

void TicketBook::bind(const Speaking& speaking, TimePoint opening_until) {
    const auto& [socket, flow, bearer] = speaking;
    forget(socket);
    if (bound_.size() >= most_bound)
        forget(order_.front());
    order_.push_back(socket);
    bound_.emplace(socket, Bound{flow, bearer, opening_until, std::prev(order_.end())});
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
