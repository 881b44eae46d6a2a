#include "daemon/gate/allowed_flows.hpp"

#include "policy/beyond.hpp"

#include <algorithm>
#include <random>

namespace ubf {

static_assert(sizeof(AllowedFlows::Entry) <= 120);

std::optional<Reason> allowed_by_uid(const AllowedFlow& allowed, bool is_local,
                                     std::span<const Prefix> peers, const Policy& policy) {
    auto listener = allowed.listener.owner();
    auto connector = allowed.connector.owner();
    auto& remote = allowed.reply ? listener : connector;
    const auto& source = allowed.flow.source.address;
    const auto nobody =
        is_local ? std::nullopt : unasked(source, allowed.flow.destination.address, peers, policy);
    if (nobody)
        remote = *nobody;
    else if (remote.kind == OwnerKind::outside || remote.kind == OwnerKind::unready)
        return std::nullopt; // now there is somebody to ask
    const auto flow = allowed.from_connector();
    const auto reason = decide(flow, listener, connector, policy).reason;
    if (action_of(reason) != Action::allow ||
        !settled_by_uid(reason, flow, listener, connector, policy))
        return std::nullopt;
    return reason;
}

AllowedFlows::AllowedFlows(LabelledRoom& labelled, std::size_t room, std::uint64_t seed)
  : labelled_(labelled)
  , room_(room)
  , seed_(seed)
  , buckets_(buckets, none) {}

AllowedFlows::~AllowedFlows() {
    for (const auto& entry : entries_)
        if (entry.place != Entry::Place::nowhere && entry.watched && !entry.is_udp())
            labelled_.remove(charged(entry));
}

std::uint64_t AllowedFlows::random_seed() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

AllowedFlows::Added AllowedFlows::add(const AllowedFlow& allowed, bool watched, TimePoint decide,
                                      TimePoint now,
                                      const std::function<bool(const AllowedFlow&)>& is_over) {
    if (const auto old = find(allowed.flow))
        remove(*old);
    auto added = Added::remembered;
    if (watched && !allowed.is_udp() && !labelled_.has_room(charged(allowed)))
        return Added::no_room;
    if (!watched && resting_ >= room_) {
        const auto room = make_room(allowed, now, is_over);
        if (!room)
            return Added::no_room;
        added = *room;
    }

    Id id = 0;
    if (free_.empty()) {
        id = static_cast<Id>(entries_.size());
        entries_.emplace_back();
    } else {
        id = free_.back();
        free_.pop_back();
    }
    auto& entry = entries_[id];
    entry = Entry{allowed};
    entry.watched = watched;
    entry.decide = decide;
    auto& head = buckets_[bucket(allowed.flow)];
    entry.next = std::exchange(head, id);
    ++size_;
    count(entry, true);
    if (watched)
        watch(id, now);
    else
        entry.place = Entry::Place::resting;
    return added;
}

void AllowedFlows::remove(Id id) {
    auto& entry = entries_[id];
    take_out(id);
    count(entry, false);
    auto* link = &buckets_[bucket(entry.flow)];
    while (*link != id)
        link = &entries_[*link].next;
    *link = entry.next;
    entry.place = Entry::Place::nowhere;
    free_.push_back(id);
    --size_;
}

std::optional<AllowedFlows::Id> AllowedFlows::find(const Flow& flow) const {
    for (Id id = buckets_[bucket(flow)]; id != none; id = entries_[id].next)
        if (entries_[id].flow == flow)
            return id;
    return std::nullopt;
}

std::optional<AllowedFlows::Id> AllowedFlows::take_due(TimePoint now) {
    for (const auto* list : {&retried_, &waiting_, &at_leisure_}) {
        const Id id = list->first;
        if (id == none || entries_[id].when > now)
            continue;
        take_out(id);
        entries_[id].place = Entry::Place::in_hand;
        return id;
    }
    return std::nullopt;
}

std::optional<TimePoint> AllowedFlows::next() const {
    std::optional<TimePoint> when;
    for (const auto* list : {&retried_, &waiting_, &at_leisure_})
        if (list->first != none && (!when || entries_[list->first].when < *when))
            when = entries_[list->first].when;
    return when;
}

void AllowedFlows::put_back(Id id, Again again, TimePoint now) {
    take_out(id);
    switch (again) {
    case Again::at_once:
        entries_[id].decide = now;
        return prepend(id, Entry::Place::retried, now);
    case Again::soon:
        return append(id, Entry::Place::retried, now + short_pause);
    case Again::later:
        return watch(id, now);
    }
}

void AllowedFlows::watch(Id id, TimePoint now) {
    constexpr std::size_t each_pause = 16384;
    if (entries_[id].is_udp())
        return append(id, Entry::Place::waiting, now + pause);
    append(id, Entry::Place::at_leisure, now + pause * (1 + watched_ / each_pause));
}

void AllowedFlows::keep(Id id, Reason reason, bool watched, TimePoint decide, TimePoint now) {
    auto& entry = entries_[id];
    const bool was_in_hand = entry.place == Entry::Place::in_hand;
    entry.reason = reason;
    if (entry.watched != watched) {
        count(entry, false);
        entry.watched = watched;
        count(entry, true);
    } else if (!was_in_hand && watched) {
        return; // it comes up when it would have
    }
    entry.decide = decide;
    take_out(id);
    if (watched)
        watch(id, now);
    else
        entry.place = Entry::Place::resting;
}

void AllowedFlows::hasten(Id id, TimePoint now) {
    if (entries_[id].place != Entry::Place::in_hand)
        put_back(id, Again::at_once, now);
}

void AllowedFlows::hasten_watched(const std::function<bool(const Entry&)>& chosen, TimePoint now) {
    for (const auto* list : {&waiting_, &at_leisure_, &retried_})
        for (Id id = list->first; id != none;) {
            const Id following = entries_[id].later;
            if (entries_[id].watched && chosen(entries_[id]))
                put_back(id, Again::at_once, now);
            id = following;
        }
}

// --- room ---

std::optional<AllowedFlows::Added>
AllowedFlows::make_room(const AllowedFlow& newcomer, TimePoint now,
                        const std::function<bool(const AllowedFlow&)>& is_over) {
    std::optional<Id> of_one_with_more;
    for (unsigned look = 0; look < most_looks; ++look) {
        const auto id = next_resting();
        if (!id)
            break;
        const auto& entry = entries_[*id];
        if (now - entry.since >= handshake && is_over(entry)) {
            remove(*id);
            return Added::remembered;
        }
        if (resting_of(entry) > resting_of(newcomer) + 1)
            of_one_with_more = id;
    }
    if (!of_one_with_more)
        return std::nullopt;
    remove(*of_one_with_more);
    return Added::instead_of_another;
}

// The next under the hand, if it is not far.
std::optional<AllowedFlows::Id> AllowedFlows::next_resting() {
    constexpr unsigned most_steps = 64;
    for (unsigned step = 0; step < most_steps && !entries_.empty(); ++step) {
        const Id id = hand_ < entries_.size() ? hand_ : 0;
        hand_ = id + 1;
        if (entries_[id].place == Entry::Place::resting)
            return id;
    }
    return std::nullopt;
}

// A flow takes the room of its connector, or of its listener if the connector is no user.
std::uint64_t AllowedFlows::charged(const AllowedFlow& allowed) {
    const auto& party =
        allowed.connector.kind == OwnerKind::user ? allowed.connector : allowed.listener;
    return std::uint64_t{static_cast<std::uint8_t>(party.kind)} << 32 | value(party.uid);
}

std::size_t AllowedFlows::resting_of(const AllowedFlow& allowed) const {
    const auto found = resting_of_.find(charged(allowed));
    return found == resting_of_.end() ? 0 : found->second;
}

void AllowedFlows::count(const Entry& entry, bool more) {
    if (entry.watched && entry.is_udp())
        return;
    const auto user = charged(entry);
    const auto step = more ? std::size_t{1} : ~std::size_t{0};
    if (entry.watched) {
        watched_ += step;
        return more ? labelled_.add(user) : labelled_.remove(user);
    }
    resting_ += step;
    const auto found = resting_of_.try_emplace(user).first;
    found->second += step;
    if (found->second == 0)
        resting_of_.erase(found);
}

// --- places ---

std::size_t AllowedFlows::bucket(const Flow& flow) const {
    const auto hash = (std::hash<Flow>{}(flow) ^ seed_) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(hash >> 48); // 16 bits: one of `buckets`
}

// The one that it waits in; nullptr where it waits in none.
AllowedFlows::List* AllowedFlows::list_of(const Entry& entry) {
    switch (entry.place) {
    case Entry::Place::waiting:
        return &waiting_;
    case Entry::Place::at_leisure:
        return &at_leisure_;
    case Entry::Place::retried:
        return &retried_;
    case Entry::Place::nowhere:
    case Entry::Place::resting:
    case Entry::Place::in_hand:
        break;
    }
    return nullptr;
}

void AllowedFlows::append(Id id, Entry::Place place, TimePoint when) {
    auto& entry = entries_[id];
    entry.place = place;
    entry.when = when;
    auto& list = *list_of(entry);
    entry.later = none;
    entry.earlier = std::exchange(list.last, id);
    (entry.earlier == none ? list.first : entries_[entry.earlier].later) = id;
}

void AllowedFlows::prepend(Id id, Entry::Place place, TimePoint when) {
    auto& entry = entries_[id];
    entry.place = place;
    entry.when = when;
    auto& list = *list_of(entry);
    entry.earlier = none;
    entry.later = std::exchange(list.first, id);
    (entry.later == none ? list.last : entries_[entry.later].earlier) = id;
}

// Out of the list that it waits in, if it does.
void AllowedFlows::take_out(Id id) {
    auto& entry = entries_[id];
    auto* list = list_of(entry);
    if (list == nullptr)
        return;
    (entry.earlier == none ? list->first : entries_[entry.earlier].later) = entry.later;
    (entry.later == none ? list->last : entries_[entry.later].earlier) = entry.earlier;
}

} // namespace ubf
