// Finds the other end of a connection, decides, and carries the verdict out.
#include "daemon/rdma/watcher.hpp"

#include "base/escape.hpp"
#include "daemon/ident/silence.hpp"
#include "flow/own_address.hpp"
#include "policy/beyond.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace ubf {
namespace {

// A peer's end comes into being a moment after the connector's. So the peer is asked again while it
// doesn't know the connection, with growing pauses, and while it doesn't answer.
constexpr unsigned most_tries = 7;
constexpr unsigned most_silences = 4;
constexpr std::chrono::milliseconds try_pause{20};
// The other end of what isn't established yet is asked about now and then.
constexpr std::chrono::seconds unestablished_pause{2};
// At a time: a peer answers thousands in a second.
constexpr std::size_t most_questions = 1024;
// A process that was killed and is still there after this has left its connection to another.
constexpr std::chrono::seconds dying_time{5};

// How an owner was found tells which end its own node takes it for.
std::optional<End> end_of(const Owner& owner) {
    if (!owner.credentials)
        return std::nullopt;
    switch (owner.credentials->method) {
    case Method::rdma_connector:
        return End::connector;
    case Method::rdma_listener:
        return End::listener;
    default:
        return std::nullopt;
    }
}

std::string program(const Owner& owner) {
    const auto& process = owner.credentials->process;
    return fmt::format("{}[{}]", escape(process.comm), value(process.pid));
}

} // namespace

void RdmaWatcher::judge_all(TimePoint now) {
    for (auto& [key, entry] : entries_)
        if (entry.stage == Stage::open && now >= entry.next)
            judge(entry, now);
    asker_.flush();
}

void RdmaWatcher::judge(Entry& entry, TimePoint now) {
    const auto* twin = counterpart(entry);
    // One of the two is enough: the connector's, for its process is the one that may be ended.
    const bool judged_there =
        twin != nullptr &&
        (entry.end == twin->end ? twin->id.key < entry.id.key : entry.end == End::listener);
    if (judged_there) {
        entry.stage = Stage::judged;
        return;
    }
    if (entry.next == TimePoint{})
        shared_.counters.rdma_seen.add();
    entry.next = now;
    const Port port = flow_of(entry.id, entry.end).destination.port;
    if (contains(rules_->exempt_ports, Protocol::rdma, port))
        return allow(entry);
    auto facts = facts_of(entry);
    const auto& remote = entry.id.destination->address;
    if (twin != nullptr) {
        facts.place = Place::here;
        facts.source = known_owner(*twin);
    } else if (interface_of(remote)) {
        facts.place = Place::here;
        facts.source = Owner{}; // it may still come
    } else if (auto nobody =
                   unasked(remote, entry.id.source.address, rules_->terms->peers, rules_->policy)) {
        // The gate does not refuse what goes out to nobody of ours either.
        if (entry.end == End::connector)
            return allow(entry);
        facts.place = Place::elsewhere;
        facts.source = std::move(*nobody);
    }
    go_on(entry, facts, twin == nullptr ? std::nullopt : std::optional(twin->end), now);
}

void RdmaWatcher::allow(Entry& entry) {
    shared_.counters.rdma_allowed.add();
    entry.stage = Stage::judged;
}

// No further search would find the holder of an end.
Owner RdmaWatcher::known_owner(const Entry& entry) {
    auto owner = entry.owner.value_or(Owner{});
    if (lacks_credentials(owner))
        owner.credentials.emplace();
    return owner;
}

Facts RdmaWatcher::facts_of(const Entry& entry) {
    Facts facts{way_out(entry.id).reversed(), entry.end == End::connector};
    // Nothing waits meanwhile, and the table is read anew before a process is killed.
    facts.same_destination = facts.fresh_labels = facts.sharers_known = true;
    facts.destination = known_owner(entry);
    return facts;
}

void RdmaWatcher::go_on(Entry& entry, const Facts& facts, std::optional<End> remote,
                        TimePoint now) {
    const auto step = next(facts, rules_->policy);
    if (const auto* reason = std::get_if<Reason>(&step))
        return conclude(entry, facts, remote, *reason, now);
    ask(entry); // no other fact is missing
}

const RdmaWatcher::Entry* RdmaWatcher::counterpart(const Entry& entry) const {
    const auto [first, last] = connections_.equal_range(way_out(entry.id).reversed());
    for (auto at = first; at != last; ++at) {
        const auto& candidate = entries_.at(at->second);
        if (candidate.id.port_space == entry.id.port_space)
            return &candidate;
    }
    return nullptr;
}

void RdmaWatcher::ask(Entry& entry) {
    const auto question = way_out(entry.id).reversed();
    if (questions_.size() >= most_questions || !questions_.emplace(question, entry.id.key).second)
        return; // at the next look
    entry.stage = Stage::asked;
    asker_.ask(question, question, role_of(other(entry.end)), std::nullopt, entry.id.interface);
}

void RdmaWatcher::answered(const Flow& flow, ident::Asker::Heard heard, const Owner& owner) {
    using Heard = ident::Asker::Heard;
    if (heard == Heard::uid) // more follows
        return;
    const auto question = questions_.extract(flow);
    if (question.empty())
        return;
    const auto found = entries_.find(question.mapped());
    if (found == entries_.end() || found->second.stage != Stage::asked)
        return; // it is over
    auto& entry = found->second;
    const auto now = Clock::now();
    entry.stage = Stage::open;
    if (heard == Heard::owner)
        return heard_owner(entry, owner, now);
    if (heard == Heard::nothing)
        report_silence_of(rules_->terms->management(flow.source.address), now - rules_->deadline,
                          shared_.peers, shared_.log);
    if (++entry.silences >= most_silences)
        give_up(entry);
}

void RdmaWatcher::try_again(Entry& entry, TimePoint now) {
    entry.next = now + try_pause * (1 << entry.tries++);
    next_look_ = std::min(next_look_, entry.next);
}

// A silent peer is no reason to kill.
void RdmaWatcher::give_up(Entry& entry) {
    shared_.counters.rdma_no_answer.add();
    entry.stage = Stage::judged;
    shared_.log.warning(
        fmt::format("{} is not judged, and goes on: no node said in {} tries whose {} it is",
                    to_string(flow_of(entry.id, entry.end)), most_silences,
                    entry.end == End::connector ? "listener" : "connector"));
}

void RdmaWatcher::heard_owner(Entry& entry, const Owner& owner, TimePoint now) {
    auto facts = facts_of(entry);
    facts.learn_source(owner);
    go_on(entry, facts, end_of(owner), now);
}

void RdmaWatcher::conclude(Entry& entry, const Facts& facts, std::optional<End> remote,
                           Reason reason, TimePoint now) {
    const bool connects = entry.end == End::connector;
    const auto& ours = *facts.destination;
    // If both ends take themselves for the same, their listener was gone too soon to be seen. Then
    // the connection must be allowed either way.
    if (remote == entry.end && action_of(reason) == Action::allow) {
        auto turned = facts;
        turned.reply = !facts.reply;
        const auto step = next(turned, rules_->policy);
        const auto* turned_reason = std::get_if<Reason>(&step);
        reason = turned_reason != nullptr ? *turned_reason : Reason::internal_error;
    }

    const auto& theirs = connects ? facts.listener() : facts.connector();
    if (action_of(reason) == Action::allow) {
        if (reason == Reason::same_label)
            entry.by_label = theirs.uid;
        return allow(entry);
    }
    if (theirs.kind == OwnerKind::unknown && entry.tries < most_tries)
        return try_again(entry, now);
    if (theirs.kind == OwnerKind::unknown && !is_established(entry)) {
        entry.next = now + unestablished_pause;
        return;
    }

    shared_.counters.rdma_denied.add();
    entry.stage = Stage::judged;
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    Denial denial;
    denial.flow = facts.from_connector();
    denial.reason = reason;
    denial.connector = facts.connector();
    denial.listener = facts.listener();
    if (by_labels && rules_->labelled)
        denial.labels = compare_labels(denial.listener, denial.connector, rules_->policy);
    denial.observed = rules_->observed;
    if (rules_->mode != Config::Fabric::Rdma::end || rules_->observed || !connects)
        return shared_.log.denial(std::move(denial));
    if (ours.kind == OwnerKind::unknown)
        return not_ended(std::move(denial), "the thread that made it has ended, and nothing tells "
                                            "which process has it now");
    // Its listener may have been gone long before we could see it.
    if (entry.old)
        return not_ended(std::move(denial), "it is older than ubfd");
    if (ours.kind != OwnerKind::user || theirs.kind != OwnerKind::user || remote != End::listener)
        return not_ended(std::move(denial), "it is not certain who began it");
    end(entry, std::move(denial), now);
}

// Only the process that began it, on its own node, and only when it is certain which one that is.
void RdmaWatcher::end(Entry& entry, Denial denial, TimePoint now) {
    const auto& task = entry.id.maker.task;
    const auto target = task ? Target::of(*task, processes_) : std::nullopt;
    const auto again = list_again();
    const bool same =
        target && again && target->status().process == denial.connector.credentials->process.pid &&
        std::ranges::any_of(*again, [&](const rdma::CmId& id) {
            return id.key == entry.id.key && id.maker.task == task && is_connection(id);
        });
    if (!same)
        return not_ended(std::move(denial), "the connector's process has ended or can't be killed");
    if (const int error = target->kill(); error != 0)
        return not_ended(std::move(denial),
                         fmt::format("{} could not be killed: {}", program(denial.connector),
                                     std::strerror(error)));
    denial.ended = true;
    entry.denial = std::move(denial);
    entry.stage = Stage::killed;
    entry.next = now + dying_time;
    next_look_ = now;
}

void RdmaWatcher::not_ended(Denial denial, std::string why) {
    shared_.counters.rdma_not_ended.add();
    denial.note = fmt::format("not ended: {}", why);
    shared_.log.denial(std::move(denial));
}

// It is in the table no more.
void RdmaWatcher::over(const Entry& entry) {
    if (entry.stage != Stage::killed)
        return;
    shared_.counters.rdma_ended.add();
    auto denial = entry.denial;
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - entry.since);
    denial.note = fmt::format("the connector's process {} was killed, {} ms after the connection "
                              "was seen",
                              program(denial.connector), took.count());
    shared_.log.denial(std::move(denial));
}

void RdmaWatcher::see_dying(TimePoint now) {
    for (auto& [key, entry] : entries_) {
        if (entry.stage != Stage::killed || now < entry.next)
            continue;
        entry.stage = Stage::judged;
        entry.denial.ended = false;
        not_ended(entry.denial, fmt::format("{} was killed, but another process holds the "
                                            "connection",
                                            program(entry.denial.connector)));
    }
}

// Whether its queue pair has an other end. One that isn't there any more, or never is, as of
// datagrams, is taken for established.
bool RdmaWatcher::is_established(const Entry& entry) {
    if (!resources_)
        return true;
    const auto pairs = resources_->queue_pairs(devices_);
    if (!pairs || entry.id.queue_pair == 0)
        return true;
    const auto pair = std::ranges::find_if(pairs->entries, [&](const rdma::QueuePair& candidate) {
        return candidate.device == entry.id.key.device && candidate.number == entry.id.queue_pair;
    });
    return pair == pairs->entries.end() || pair->is_connected() || !pair->has_other_end();
}

} // namespace ubf
