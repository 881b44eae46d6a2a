#include "daemon/gate/judge.hpp"

#include "daemon/core/counters.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/owners/owners.hpp"
#include "flow/packet.hpp"
#include "label/cipso.hpp"

#include <netinet/tcp.h>

namespace ubf {
namespace {

// A case that takes no longer than a round of packets is not looked at once more.
constexpr std::chrono::milliseconds brief{1};
// A case that waits for a search outlives the question before it by this much.
constexpr std::chrono::milliseconds grace{50};

// Deciding again looks at the socket, and at changes, by itself (FlowBook). And what IPVS sends
// elsewhere could not be ended here.
bool is_checked_otherwise(const Case& item) {
    return item.again || item.found.destination.is_virtual_service();
}

// Observing must delay nobody, so a drop for want of an answer or of room counts too. A flow that
// is decided again waits for a better answer by itself.
bool would_refuse(Reason reason, bool again) {
    return action_of(reason) == Action::deny ||
           (!again && (reason == Reason::no_answer_yet || reason == Reason::overload));
}

// A SYN that opens nothing: a SYN of its flow was let in already, and the kernel answers again by
// itself. If the connection is there, only the very SYN that began it counts: another one may be of
// a node that has forgotten it.
bool is_repeated(const Case& item, const FlowBook& book) {
    const auto& destination = item.found.destination;
    if (item.flow().protocol != Protocol::tcp || item.facts.reply || item.again ||
        item.facts.translated)
        return false;
    if (destination.begun == TCP_SYN_RECV)
        return true;
    return (destination.begun == TCP_ESTABLISHED || destination.socket.state == TCP_ESTABLISHED) &&
           book.began(item.flow(), item.packets.sequence);
}

// now: by the clock, for the round may have begun long ago. Until the verdict, another socket may
// take the place of the one that was looked up.
bool is_brief(const Case& item, TimePoint now) {
    return now - item.since <= brief;
}

} // namespace

void DecisionTimes::add(const Case& decided, TimePoint now) {
    if (decided.again)
        return; // no packet waited
    (decided.question.asked ? asked : queue).add(now - decided.since);
}

Judge::Judge(ident::Peers& asker, std::shared_ptr<const Rules> rules, Sockets& sockets,
             KeptVerdicts& verdicts, const Shared& shared, Mailbox& mailbox)
  : rules_(std::move(rules))
  , shared_(shared)
  , mailbox_(mailbox)
  , finder_(rules_, sockets, shared)
  , questions_(asker, rules_, shared)
  , outcomes_(rules_, verdicts, shared, sockets.loopback()) {
    asker.set_handler([this](const Flow& flow, Questions::Heard heard, const Owner& owner,
                             TimePoint now) { answered(flow, heard, owner, now); });
}

void Judge::set_rules(std::shared_ptr<const Rules> rules, bool review) {
    rules_ = std::move(rules);
    finder_.set_rules(rules_);
    questions_.set_rules(rules_);
    outcomes_.set_rules(rules_, review);
}

std::chrono::milliseconds Judge::patience() const {
    return rules_->deadline + grace;
}

void Judge::reconsider(const Flow& flow) {
    if (auto* item = cases_.find(flow))
        item->stale = true;
}

// --- a round ---

void Judge::on_time(TimePoint now) {
    questions_.asker().on_time(now);
    while (auto expired = cases_.take_expired(now))
        give_up(std::move(expired), now);
    for (const auto& due :
         book().take_due(now, [this](const Flow& flow) { return is_open(flow); })) {
        auto& item =
            add_arrived({0, due.interface, due.fabric, {}, now, Facts{due.flow, due.reply}});
        item.again = true;
        if (!due.is_udp())
            finder_.find_translation(item);
    }
    begin_arrived(now);
    book().go_on(now);
}

// Questions first, since their answers take longest.
void Judge::write(TimePoint now) {
    questions_.asker().flush(now);
    outcomes_.write();
}

std::optional<TimePoint> Judge::next() const {
    std::optional<TimePoint> when;
    for (const auto& each : {arrived_.next(), questions_.next(), cases_.next(), outcomes_.next()})
        if (each && (!when || *each < *when))
            when = each;
    return when;
}

// Dropped, not denied: whoever starts next is asked again.
void Judge::drop_all() {
    while (auto item = cases_.take_any())
        item->packets.judge(Reason::overload);
    arrived_.drop_all();
}

// --- a case begins ---

void Judge::arrive(Arrival arrival, TimePoint now) {
    const auto packet = parse_packet(arrival.bytes);
    if (!packet) {
        arrival.packet.judge(rules_->observed.all ? Reason::observed : Reason::malformed);
        return;
    }
    const auto tracked = parse_translated(arrival.tracked);
    const bool translated = arrival.translated || tracked;
    if (auto* item = cases_.find(packet->flow))
        return item->packets.join(std::move(arrival.packet), packet->sequence);
    if (Arrivals::is_listed(packet->flow) && arrived_.is_full())
        return arrival.packet.judge(Reason::overload);
    auto stated = rules_->selinux ? stated_level(arrival.bytes) : std::nullopt;
    auto& item = add_arrived({0,
                              arrival.interface,
                              arrival.fabric,
                              {std::move(arrival.packet), packet->sequence},
                              now,
                              Facts{packet->flow, arrival.reply}});
    item.facts.stated = std::move(stated);
    item.facts.translated = translated;
    if (tracked)
        Finder::note_translation(item, *tracked);
    else if (translated)
        finder_.find_translation(item);
}

Case& Judge::add_arrived(Case&& item) {
    item.number = ++last_number_;
    item.begun = shared_.owners.changes().now();
    return arrived_.add(std::move(item));
}

// The sockets of all that is to be decided are looked up at once.
void Judge::begin_arrived(TimePoint now) {
    for (auto turn = arrived_.take(now); !turn.empty(); turn = arrived_.take(now)) {
        const bool listed = Arrivals::is_listed(turn.front().flow());
        const auto begun = listed ? shared_.clock() : TimePoint{};
        const auto ends = finder_.look_up(turn);
        if (listed)
            arrived_.listed(shared_.clock() - begun, shared_.clock());
        for (std::size_t i = 0; i < turn.size(); ++i) {
            auto& item = turn[i];
            if (auto* earlier = cases_.find(item.flow()))
                earlier->packets.join(std::move(item.packets.first), item.packets.sequence);
            else
                begin(std::move(item), ends[i], now);
        }
    }
}

void Judge::begin(Case&& item, const OwnerLookup::Ends& ends, TimePoint now) {
    const auto& destination = ends.receiver;
    if (!destination && destination.error() == LookupError::none)
        return begin_at_closed_port(std::move(item), ends.sender, now);
    finder_.place(item, ends);
    auto& facts = item.facts;
    facts.repeated = is_repeated(item, book());
    if (is_checked_otherwise(item))
        facts.same_destination = facts.fresh_labels = true;
    else if (is_brief(item, shared_.clock()))
        facts.same_destination = true;
    if (destination && !facts.repeated)
        shared_.counters.owners.methods.add(Method::socket);
    go_on(std::move(item), now);
}

// The log names those who try many ports where nobody listens. For that alone their node is asked,
// about one packet a second; all others are refused at once, as without a firewall.
void Judge::begin_at_closed_port(Case&& item, const OwnerLookup::Found& source, TimePoint now) {
    auto& facts = item.facts;
    const auto& [protocol, from, to] = item.flow();
    facts.destination = Owner{};
    if (!facts.reply && !item.again)
        item.tries = closed_ports_.add(
            from.address, source ? std::optional(source->owner.uid) : std::nullopt, to.port, now);
    if (item.tries > 0 && source)
        facts.source =
            shared_.owners.known(*source, ident::Role::connector).value_or(source->owner);
    else if (item.tries > 0 && !finder_.on_this_node(item)) {
        facts.source = finder_.unasked(item);
        if (!facts.source && ask(item, {}, now) == Fact::comes_later)
            return wait(std::move(item), now);
    }
    go_on(std::move(item), now);
}

// --- the inquiry ---

void Judge::go_on(Case&& item, TimePoint now) {
    for (;;) {
        const auto step = ubf::next(item.facts, finder_.policy(item));
        if (const auto* reason = std::get_if<Reason>(&step))
            return close(std::move(item), *reason, now);
        if (find(item, std::get<Need>(step), now) == Fact::comes_later)
            return wait(std::move(item), now);
    }
}

Judge::Fact Judge::find(Case& item, Need need, TimePoint now) {
    auto& facts = item.facts;
    switch (need) {
    case Need::destination:
    case Need::source: // begin() has both
        facts.failed = Reason::internal_error;
        break;
    case Need::answer:
        return item.question.open ? Fact::comes_later : ask(item, {}, now);
    case Need::group:
        facts.answer.group_asked = true;
        facts.source.reset();
        return ask(item, facts.destination->credentials->gid, now);
    case Need::credentials:
        return find_credentials(item, now);
    case Need::sharers:
        finder_.find_sharers(item);
        break;
    case Need::same_destination:
        facts.same_destination =
            is_brief(item, shared_.clock()) || finder_.is_same_destination(item);
        break;
    case Need::fresh_labels:
        facts.fresh_labels = !finder_.is_stale(item);
        break;
    }
    return Fact::known;
}

Judge::Fact Judge::ask(Case& item, std::optional<Gid> group, TimePoint now) {
    const auto sent = questions_.ask(item, group, now);
    if (sent.gave_way)
        give_up(cases_.take(*sent.gave_way), now);
    item.question.asked |= sent.yes;
    return sent.yes ? Fact::comes_later : Fact::known;
}

// Searches for both ends run at once.
Judge::Fact Judge::find_credentials(Case& item, TimePoint now) {
    for (const auto end : {Need::destination, Need::source}) {
        if (end == Need::source && !item.found.source)
            continue;
        if (!finder_.know_credentials(item, end) && !search(item, end, now)) {
            item.facts.failed = Reason::overload;
            return Fact::known;
        }
    }
    return item.searches == 0 ? Fact::known : Fact::comes_later;
}

// False where too many wait already.
bool Judge::search(Case& item, Need end, TimePoint now) {
    const bool begun = shared_.owners.find(
        socket_of(item, end), role_of(item.facts, end), now + rules_->deadline,
        [this, begun = Search{item.flow(), item.number, end}](Owner result, bool in_time) {
            mailbox_.post([this, begun, in_time, result = std::move(result)] {
                found(begun, result, in_time, shared_.clock());
            });
        });
    item.searches += begun ? 1 : 0;
    return begun;
}

void Judge::wait(Case&& item, TimePoint now) {
    if (!is_checked_otherwise(item))
        item.facts.same_destination.reset();
    cases_.wait(std::move(item), now + patience());
}

void Judge::answered(const Flow& flow, Questions::Heard heard, const Owner& owner, TimePoint now) {
    if (heard == Questions::Heard::uid)
        return named(flow, owner, now);
    questions_.end(flow);
    auto item = cases_.take(flow);
    if (!item)
        return;
    questions_.answered(*item, heard, owner, now);
    if (owner.kind != OwnerKind::unknown || heard == Questions::Heard::owner)
        finder_.learn(*item, Need::source, owner);
    go_on(std::move(*item), now);
}

// The peer has said whose the flow is, and looks for the credentials. If these don't matter, the
// case is decided; otherwise the question counts for that user from now on.
void Judge::named(const Flow& flow, const Owner& owner, TimePoint now) {
    auto* item = cases_.find(flow);
    if (item == nullptr)
        return;
    finder_.learn(*item, Need::source, owner);
    item->facts.answer.more_follows = true;
    if (ubf::next(item->facts, finder_.policy(*item)) != Step(Need::answer))
        return go_on(std::move(*cases_.take(flow)), now);
    if (const auto over = questions_.name(flow, owner.uid))
        give_up(cases_.take(*over), now);
}

void Judge::found(const Search& search, Owner owner, bool in_time, TimePoint now) {
    auto* item = cases_.find(search.flow, search.number);
    if (item == nullptr)
        return; // it took too long, and the packet is judged
    if (!in_time)
        item->facts.out_of_time = for_want_of_time(*item);
    finder_.learn(*item, search.end, std::move(owner));
    if (--item->searches == 0)
        go_on(std::move(*cases_.take(search.flow)), now);
}

// --- a case ends ---

// The packet is dropped, and its retransmission begins anew; except where nobody listens.
void Judge::give_up(std::optional<Case> item, TimePoint now) {
    if (!item)
        return;
    const auto reason = item->tries > 0 ? Reason::no_listener : Reason::overload;
    close(std::move(*item), reason, now);
}

void Judge::close(Case&& item, Reason reason, TimePoint now) {
    questions_.withdraw(item);
    times_.add(item, shared_.clock());
    if (item.tries > 0)
        outcomes_.log_scan(item);
    const auto observes = [&] {
        return would_refuse(reason, item.again) && finder_.observes(item);
    };
    if (item.again) {
        outcomes_.decided_again(
            item, {reason, observes(), finder_.is_same_destination(item), finder_.is_stale(item)},
            now);
        if (item.packets.more.empty())
            return;
        // Packets came meanwhile. They are judged by what is known, as any others.
        item.again = false;
        item.facts.same_destination = item.facts.fresh_labels = std::nullopt;
        if (action_of(reason) == Action::allow)
            return go_on(std::move(item), now);
    }
    if (observes()) {
        outcomes_.let_pass(item, reason, now);
        item.packets.judge(Reason::observed);
        return;
    }
    if (action_of(reason) == Action::allow && !item.found.destination.is_virtual_service())
        reason = outcomes_.allow(item, reason, now);
    item.packets.judge(reason);
    if (reason == Reason::exempt_listener)
        outcomes_.note_exempt_listener(item);
    if (action_of(reason) == Action::deny)
        outcomes_.deny(item, reason);
}

} // namespace ubf
