#include "daemon/fabric/rdma_judge.hpp"

#include "daemon/ident/silence.hpp"
#include "flow/own_address.hpp"
#include "policy/beyond.hpp"

#include <fmt/format.h>
#include <utility>

namespace ubf {
namespace {

using rdma::End;

// A peer's end comes into being a moment after the connector's. So the peer is asked again while it
// doesn't know the connection, with growing pauses, and while it doesn't answer.
constexpr unsigned most_tries = 7;
constexpr unsigned most_unanswered = 4;
constexpr std::chrono::milliseconds try_pause{20};
// The other end of a connection that isn't established yet is asked about now and then.
constexpr std::chrono::seconds unestablished_pause{2};
// At a time: a peer answers thousands in a second.
constexpr std::size_t most_questions = 1024;
constexpr std::chrono::milliseconds room_pause{100};
// Orders without an outcome.
constexpr std::size_t most_ending = 4096;
// Each owner may take a while, for the user database is asked. Reports and peers wait meanwhile.
constexpr std::chrono::milliseconds reading_time{100};

ident::Role role_of(End end) {
    return end == End::connector ? ident::Role::connector : ident::Role::listener;
}

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

// No further search would find the holder of an end.
Owner known_owner(const RdmaBook::Entry& entry) {
    auto owner = entry.owner;
    if (lacks_credentials(owner))
        owner.credentials.emplace();
    return owner;
}

Flow from_connector(const rdma::Connection& connection) {
    const auto flow = connection.way_out();
    return connection.end == End::connector ? flow : flow.reversed();
}

// Our end's node asks for the owner of the other.
Flow question_of(const rdma::Connection& connection) {
    return connection.way_out().reversed();
}

} // namespace

RdmaJudge::RdmaJudge(ident::Peers& peers, std::shared_ptr<const RdmaRules> rules,
                     const Shared& shared, OwnerOf owner_of)
  : rules_(std::move(rules))
  , shared_(shared)
  , owner_of_(std::move(owner_of))
  , peers_(peers) {
    peers_.set_handler([this](const Flow& flow, ident::Peers::Heard heard, const Owner& owner,
                              TimePoint now) { this->heard(flow, heard, owner, now); });
}

void RdmaJudge::set_rules(std::shared_ptr<const RdmaRules> rules) {
    rules_ = std::move(rules);
    peers_.set_terms(rules_->terms, rules_->deadline);
}

void RdmaJudge::take(rdma::Report report) {
    for (const auto& outcome : report.outcomes)
        take(outcome);
    if (report.begins)
        forget("ubf-rdmad began anew before it said whether it ended the connection");
    for (const auto& key : report.gone) {
        book_.remove(key);
        unread_.erase(key);
    }
    for (auto& connection : report.connections)
        keep(std::move(connection));
}

void RdmaJudge::keep(rdma::Connection connection) {
    const auto key = connection.key;
    if (auto* known = book_.find(key))
        book_.update(*known, connection);
    else if (unread_.contains(key) || connections() < RdmaBook::most_entries)
        unread_.insert_or_assign(key, std::move(connection));
    else
        ++beyond_room_;
}

void RdmaJudge::read() {
    const auto until = shared_.clock() + reading_time;
    while (!unread_.empty() && shared_.clock() < until) {
        auto connection = std::move(unread_.extract(unread_.begin()).mapped());
        auto owner = find_owner(connection);
        if (auto* entry = book_.add(std::move(connection), std::move(owner)))
            open(*entry, TimePoint{});
    }
}

void RdmaJudge::forget(std::string_view why) {
    for (auto& [key, denial] : std::exchange(ending_, {}))
        not_ended(std::move(denial), why);
    book_.clear();
    unread_.clear();
    due_.clear();
    questions_.clear();
    orders_ = {};
    beyond_room_ = 0;
}

void RdmaJudge::reconsider(Uid uid) {
    book_.each([&](Entry& entry) {
        const bool concerned = entry.by_label && (*entry.by_label == uid || entry.owner.uid == uid);
        if (entry.stage != RdmaBook::Stage::judged || !concerned)
            return;
        entry.owner = find_owner(entry.is);
        entry.by_label.reset();
        open(entry, TimePoint{});
    });
}

// Unknown where the task that made it had ended before ubf-rdmad looked.
Owner RdmaJudge::find_owner(const rdma::Connection& connection) const {
    if (connection.kernel)
        return Owner::kernel();
    if (!connection.process)
        return Owner{};
    const bool listens = connection.end == End::listener;
    return owner_of_(*connection.process, role_of(connection.end),
                     listens ? Method::rdma_listener : Method::rdma_connector);
}

Owner RdmaJudge::answer(const Flow& flow) {
    auto found = book_.at(flow);
    orders_.look = orders_.look || !found.any;
    return std::move(found.owner);
}

std::optional<TimePoint> RdmaJudge::next() const {
    if (!unread_.empty())
        return TimePoint{};
    return rules_->mode == Config::Fabric::Rdma::off ? std::nullopt : due_.next();
}

void RdmaJudge::go_on(TimePoint now) {
    read();
    if (rules_->mode == Config::Fabric::Rdma::off)
        return;
    while (const auto due = due_.take(now)) {
        auto* entry = book_.find(due->key);
        if (entry != nullptr && entry->stage == RdmaBook::Stage::open && entry->next <= now)
            judge(*entry, now);
    }
    peers_.flush(now);
}

void RdmaJudge::open(Entry& entry, TimePoint when) {
    entry.stage = RdmaBook::Stage::open;
    entry.next = when;
    due_.add(when, entry.is.key);
}

void RdmaJudge::judge(Entry& entry, TimePoint now) {
    const auto* twin = book_.counterpart(entry);
    // One of the two is enough: the connector's, for its process is the one that may be ended.
    const bool judged_there =
        twin != nullptr && (entry.is.end == twin->is.end ? twin->is.key < entry.is.key
                                                         : entry.is.end == End::listener);
    if (judged_there) {
        entry.stage = RdmaBook::Stage::judged;
        return;
    }
    entry.next = now;
    if (!std::exchange(entry.counted, true))
        shared_.counters.rdma.seen.add();
    const Port port = from_connector(entry.is).destination.port;
    if (contains(rules_->exempt_ports, Protocol::rdma, port))
        return allow(entry);
    auto facts = facts_of(entry);
    const auto& remote = entry.is.theirs.address;
    if (twin != nullptr) {
        facts.place = Place::here;
        facts.source = known_owner(*twin);
    } else if (interface_of(remote)) {
        facts.place = Place::here;
        facts.source = Owner{}; // it may still come
    } else if (auto nobody =
                   unasked(remote, entry.is.ours.address, rules_->terms->peers, rules_->policy)) {
        // The gate does not refuse what goes out to nobody of ours either.
        if (entry.is.end == End::connector)
            return allow(entry);
        facts.place = Place::elsewhere;
        facts.source = std::move(*nobody);
    }
    inquire(entry, facts, twin == nullptr ? std::nullopt : std::optional(twin->is.end), now);
}

void RdmaJudge::allow(Entry& entry) {
    shared_.counters.rdma.allowed.add();
    entry.stage = RdmaBook::Stage::judged;
}

Facts RdmaJudge::facts_of(const Entry& entry) {
    Facts facts{question_of(entry.is), entry.is.end == End::connector};
    // Nothing waits meanwhile, and the table is read anew before a process is killed.
    facts.same_destination = facts.fresh_labels = facts.sharers_known = true;
    facts.destination = known_owner(entry);
    return facts;
}

void RdmaJudge::inquire(Entry& entry, const Facts& facts, std::optional<End> remote,
                        TimePoint now) {
    const auto step = ubf::next(facts, rules_->policy);
    if (const auto* reason = std::get_if<Reason>(&step))
        return conclude(entry, facts, remote, *reason, now);
    ask(entry, now); // no other fact is missing
}

void RdmaJudge::ask(Entry& entry, TimePoint now) {
    const auto question = question_of(entry.is);
    if (questions_.size() >= most_questions || !questions_.emplace(question, entry.is.key).second)
        return open(entry, entry.next + room_pause);
    entry.stage = RdmaBook::Stage::asked;
    const auto role = role_of(entry.is.end == End::connector ? End::listener : End::connector);
    peers_.ask(question, question, role, std::nullopt, entry.is.interface, {}, now);
}

void RdmaJudge::heard(const Flow& flow, ident::Peers::Heard heard, const Owner& owner,
                      TimePoint now) {
    using Heard = ident::Peers::Heard;
    if (heard == Heard::uid) // more follows
        return;
    const auto question = questions_.extract(flow);
    auto* entry = question.empty() ? nullptr : book_.find(question.mapped());
    if (entry == nullptr || entry->stage != RdmaBook::Stage::asked)
        return; // it is over
    entry->stage = RdmaBook::Stage::open;
    if (heard == Heard::owner) {
        auto facts = facts_of(*entry);
        facts.learn_source(owner);
        return inquire(*entry, facts, end_of(owner), now);
    }
    // A peer without ubf-rdmad is silent about RDMA alone, and its users' TCP must not suffer.
    const auto peer = rules_->terms->management(flow.source.address);
    if (heard == Heard::nothing && shared_.peers.standing(peer, now) != PeerTable::Standing::proven)
        report_silence_of(peer, now - rules_->deadline, shared_.peers, shared_.log, now);
    if (++entry->silences >= most_unanswered)
        give_up(*entry);
    else
        open(*entry, now);
}

// A silent peer is no reason to kill.
void RdmaJudge::give_up(Entry& entry) {
    shared_.counters.rdma.no_answer.add();
    entry.stage = RdmaBook::Stage::judged;
    shared_.log.warning(fmt::format(
        "{} is not judged, and goes on: {} did not say in {} tries whose {} it is; see that ubfd "
        "and ubf-rdmad run there, and that nothing between the nodes drops ident's datagrams",
        to_string(from_connector(entry.is)), to_string(entry.is.theirs.address), most_unanswered,
        entry.is.end == End::connector ? "listener" : "connector"));
}

void RdmaJudge::conclude(Entry& entry, const Facts& facts, std::optional<End> remote, Reason reason,
                         TimePoint now) {
    // If both ends take themselves for the same, their listener was gone too soon to be seen. Then
    // the connection must be allowed either way.
    if (remote == entry.is.end && action_of(reason) == Action::allow) {
        auto turned = facts;
        turned.reply = !facts.reply;
        const auto step = ubf::next(turned, rules_->policy);
        const auto* turned_reason = std::get_if<Reason>(&step);
        reason = turned_reason != nullptr ? *turned_reason : Reason::internal_error;
    }
    const auto& theirs = entry.is.end == End::connector ? facts.listener() : facts.connector();
    if (action_of(reason) == Action::allow) {
        if (reason == Reason::same_label)
            entry.by_label = theirs.uid;
        return allow(entry);
    }
    if (theirs.kind == OwnerKind::unknown && entry.tries < most_tries)
        return open(entry, now + try_pause * (1 << entry.tries++));
    if (theirs.kind == OwnerKind::unknown && !entry.is.established)
        return open(entry, now + unestablished_pause);
    deny(entry, facts, remote, reason);
}

void RdmaJudge::deny(Entry& entry, const Facts& facts, std::optional<End> remote, Reason reason) {
    shared_.counters.rdma.denied.add();
    entry.stage = RdmaBook::Stage::judged;
    Denial denial;
    denial.flow = facts.from_connector();
    denial.reason = reason;
    denial.connector = facts.connector();
    denial.listener = facts.listener();
    const bool by_labels = reason == Reason::label_required || reason == Reason::different_user;
    if (by_labels && rules_->labelled)
        denial.labels = compare_labels(denial.listener, denial.connector, rules_->policy);
    denial.observed = rules_->observed;
    const bool connects = entry.is.end == End::connector;
    if (rules_->mode != Config::Fabric::Rdma::end || rules_->observed || !connects)
        return shared_.log.denial(std::move(denial));
    if (denial.connector.kind == OwnerKind::unknown)
        return not_ended(std::move(denial), "the thread that made it has ended, and nothing tells "
                                            "which process has it now");
    // Its listener may have been gone long before anybody could see it.
    if (entry.is.old)
        return not_ended(std::move(denial), "it is older than ubf-rdmad");
    if (denial.connector.kind != OwnerKind::user || denial.listener.kind != OwnerKind::user ||
        remote != End::listener)
        return not_ended(std::move(denial), "it is not certain who began it");
    if (ending_.size() >= most_ending)
        return not_ended(std::move(denial), "too many others are to be ended at once");
    ending_.insert_or_assign(entry.is.key, std::move(denial));
    orders_.end.push_back(entry.is.key);
}

void RdmaJudge::take(const rdma::Outcome& outcome) {
    auto ending = ending_.extract(outcome.key);
    if (ending.empty())
        return; // nobody ordered it
    auto& denial = ending.mapped();
    if (!outcome.ended)
        return not_ended(std::move(denial), outcome.note);
    shared_.counters.rdma.ended.add();
    denial.ended = true;
    denial.note = outcome.note;
    shared_.log.denial(std::move(denial));
}

void RdmaJudge::not_ended(Denial denial, std::string_view why) {
    shared_.counters.rdma.not_ended.add();
    denial.note = fmt::format("not ended: {}", why);
    shared_.log.denial(std::move(denial));
}

} // namespace ubf
