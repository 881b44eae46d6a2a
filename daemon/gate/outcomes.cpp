#include "daemon/gate/outcomes.hpp"

#include "daemon/core/counters.hpp"
#include "daemon/log/reporter.hpp"

#include <netinet/tcp.h>

namespace ubf {
namespace {

// No process was found behind the socket: time ran out, or it is on its way from one to another.
bool was_not_found(const Owner& owner) {
    return owner.kind == OwnerKind::user && owner.credentials && !owner.credentials->gid &&
           owner.credentials->process.pid == Pid{};
}

AllowedFlow allowed_flow(const Case& item, Reason reason) {
    AllowedFlow allowed;
    allowed.flow = item.flow();
    allowed.reason = reason;
    allowed.reply = item.facts.reply;
    allowed.fabric = item.fabric;
    allowed.interface = item.interface;
    allowed.sequence = item.packets.sequence;
    allowed.listener = Party::of(item.facts.listener());
    allowed.connector = Party::of(item.facts.connector());
    allowed.since = item.since;
    allowed.via = item.facts.connector().via.value_or(Uid{});
    return allowed;
}

UdpFlows::Ends ends_of(const Case& item) {
    const auto& destination = item.found.destination.socket;
    return {destination.cookie, destination.uid,
            item.found.source ? std::optional(item.found.source->socket.cookie) : std::nullopt,
            item.since};
}

} // namespace

Outcomes::Outcomes(std::shared_ptr<const Rules> rules, KeptVerdicts& verdicts, const Shared& shared,
                   std::uint32_t loopback)
  : rules_(std::move(rules))
  , verdicts_(verdicts)
  , shared_(shared)
  , leases_(verdicts, shared.counters.flows)
  , book_(rules_, verdicts, shared, loopback) {}

void Outcomes::set_rules(std::shared_ptr<const Rules> rules, bool review) {
    rules_ = std::move(rules);
    book_.set_rules(rules_, review);
    // Here, so that what the old ones brought is behind us.
    verdicts_.forget_policy();
}

void Outcomes::confirm(TimePoint now) {
    for (const auto& allowed : leases_.confirm())
        book_.add(allowed, now);
}

void Outcomes::decided_again(const Case& item, const Again& again, TimePoint now) {
    const auto& [reason, observed, same_socket, stale] = again;
    const auto& facts = item.facts;
    const auto next =
        book_.conclude({allowed_flow(item, observed ? Reason::observed : reason), same_socket,
                        stale, was_not_found(facts.listener()) || was_not_found(facts.connector())},
                       now);
    if (next.renew)
        leases_.renew(*next.renew);
    if (next.report)
        report(item, reason, observed);
}

Reason Outcomes::allow(const Case& item, Reason reason, TimePoint now) {
    const auto allowed = allowed_flow(item, reason);
    if (allowed.is_udp())
        return leases_.allow(allowed, ends_of(item)) ? reason : Reason::gone;
    return book_.add(allowed, now) ? reason : Reason::no_room;
}

void Outcomes::deny(const Case& item, Reason reason) {
    remember_denied(item, reason);
    report(item, reason, false);
}

// If nobody knows to whom the kernel delivers a flow of UDP, it must not be anybody's: then each of
// its datagrams is let pass by itself.
void Outcomes::let_pass(const Case& item, Reason reason, TimePoint now) {
    const bool is_somebodys = item.found.destination.socket.cookie != Cookie{};
    if (is_somebodys && !item.found.destination.is_virtual_service())
        static_cast<void>(allow(item, Reason::observed, now));
    shared_.counters.gate.would_deny.add(reason);
    report(item, reason, true);
}

// Only a denial whose sockets' end would be told, or where no socket of ours is concerned.
// Otherwise a user could deny a port, close it, and keep its next owner out.
void Outcomes::remember_denied(const Case& item, Reason reason) {
    if (item.flow().protocol != Protocol::udp)
        return;
    const auto& source = item.facts.reply ? item.facts.listener() : item.facts.connector();
    const bool known = source.kind == OwnerKind::user &&
                       (reason == Reason::different_user || reason == Reason::label_required);
    if (known || reason == Reason::outside || reason == Reason::unlisted)
        leases_.deny(item.flow(), source, ends_of(item));
}

void Outcomes::note_exempt_listener(const Case& item) {
    const auto& owner = *item.facts.destination;
    const auto& socket = item.found.destination.socket;
    if (item.flow().protocol == Protocol::tcp && owner.kind == OwnerKind::user &&
        socket.state == TCP_LISTEN)
        verdicts_.exempt({item.interface, item.flow().destination}, socket.cookie, owner.uid);
}

void Outcomes::report(const Case& item, Reason reason, bool observed) {
    const auto& listener = item.facts.listener();
    const auto& connector = item.facts.connector();
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    shared_.log.denial({item.facts.from_connector(), reason, connector, listener,
                        by_labels && rules_->labelled
                            ? compare_labels(listener, connector, rules_->side(item.fabric).policy)
                            : std::string(),
                        item.again, observed});
}

void Outcomes::log_scan(const Case& item) {
    Denial scan{item.facts.from_connector(), Reason::no_listener, item.facts.connector(), Owner{}};
    scan.tries = item.tries;
    shared_.log.denial(std::move(scan));
}

} // namespace ubf
