// Every small world: the owners of both sockets, the answers of look-ups and peers, and each
// policy. The test carries out the inquiry in each, as the gate does, by next() itself.
#include "policy/inquiry.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace ubf {
namespace {

constexpr Uid exempt_uid{3000};
constexpr Gid group{100};
const Label job{LabelOrigin::slurm, "a"};

// How an end turns out, and the part of it that is known first.
struct Truth {
    Owner first; // by its socket, or as a peer names it at once
    Owner whole; // with its credentials
};

Owner with(Uid uid, std::optional<Gid> gid, std::vector<Label> labels, bool labels_known = true) {
    auto owner = Owner::user(uid);
    owner.credentials.emplace();
    owner.credentials->gid = gid;
    owner.credentials->labels = std::move(labels);
    owner.credentials->labels_known = labels_known;
    return owner;
}

std::vector<Truth> truths() {
    std::vector<Truth> all;
    for (const auto& owner : {Owner{}, Owner::shared(), Owner::kernel()})
        all.push_back({owner, owner});
    for (const Uid uid : {Uid{0}, Uid{1000}, Uid{2000}, exempt_uid})
        for (const auto& gid : {std::optional<Gid>(), std::optional(group)})
            for (const bool labelled : {false, true})
                all.push_back({Owner::user(uid),
                               with(uid, gid, labelled ? std::vector{job} : std::vector<Label>{})});
    all.push_back({Owner::user(Uid{0}), Owner::kernel()}); // as a search finds
    return all;
}

// The faults of a world.
enum class Trouble { none, failed, silent, late, no_room, changed, relabelled, moved, sharers };

struct World {
    Place place;
    bool reply;
    bool translated;
    const Truth* destination;
    const Truth* source;
    Trouble trouble;
};

Policy policy(unsigned number) {
    Policy policy;
    policy.same_user = (number & 1) != 0;
    policy.same_group = (number & 2) != 0;
    policy.same_label = (number & 4) != 0;
    policy.require_label = (number & 8) != 0;
    policy.outside_allowed = (number & 16) != 0;
    if ((number & 32) != 0)
        policy.exempt_listeners = {{{exempt_uid, exempt_uid}, {}}};
    if ((number & 64) != 0)
        policy.exempt_connectors = {{{exempt_uid, exempt_uid}, {}}};
    if ((number & 128) != 0)
        policy.exempt_kernel.clear();
    policy.labels[job] = {{{Uid{0}, Uid{5000}}}, {}};
    return policy;
}

// Carries the steps out, and notes each request.
class Carrier {
  public:
    Carrier(const World& world, const Policy& policy)
      : world_(world)
      , policy_(policy) {
        facts_.flow = *Flow::parse("tcp 10.0.0.1:40000 -> 10.0.0.2:8888");
        facts_.reply = world.reply;
        facts_.place = world.place;
        facts_.translated = world.translated;
        if (world.place == Place::elsewhere)
            facts_.source = Owner::outside();
    }

    Reason run() {
        for (;;) {
            const auto step = next(facts_, policy_);
            if (const auto* reason = std::get_if<Reason>(&step))
                return *reason;
            const auto need = std::get<Need>(step);
            needs_.emplace_back(need);
            if (needs_.size() > 12)
                return Reason::count_; // the inquiry would never end
            find(need);
        }
    }

    const Facts& facts() const { return facts_; }
    auto count(Need need) const { return std::ranges::count(needs_, need); }

  private:
    void find(Need need) {
        switch (need) {
        case Need::destination:
            facts_.destination = world_.destination->first;
            break;
        case Need::source:
            if (world_.trouble == Trouble::failed)
                facts_.failed = Reason::internal_error;
            else
                facts_.source = world_.source->first;
            break;
        case Need::answer:
            answer();
            break;
        case Need::group:
            facts_.answer.group_asked = true;
            facts_.learn_source(world_.source->whole);
            break;
        case Need::credentials:
            credentials();
            break;
        case Need::sharers:
            facts_.sharers_known = true;
            if (world_.trouble == Trouble::sharers)
                facts_.destination = Owner::user(facts_.destination->uid);
            break;
        case Need::same_destination:
            facts_.same_destination = world_.trouble != Trouble::moved;
            break;
        case Need::fresh_labels:
            facts_.fresh_labels = world_.trouble != Trouble::relabelled;
            break;
        }
    }

    void answer() {
        facts_.answer.more_follows = false;
        switch (world_.trouble) {
        case Trouble::silent:
            facts_.answer.missing = Reason::no_answer;
            break;
        case Trouble::no_room:
            facts_.answer.missing = Reason::overload;
            break;
        case Trouble::late:
            facts_.learn_source(world_.source->first);
            facts_.answer.missing = Reason::overload;
            break;
        default:
            if (count(Need::answer) == 1) { // the uid first, then the rest
                facts_.learn_source(world_.source->first);
                facts_.answer.more_follows = true;
            } else {
                facts_.answer.groups_cut = world_.trouble == Trouble::changed;
                facts_.learn_source(world_.source->whole);
            }
        }
    }

    void credentials() {
        auto whole = world_.destination->whole;
        if (world_.trouble == Trouble::late) {
            facts_.out_of_time = Reason::overload;
            whole = with(world_.destination->first.uid, std::nullopt, {}, false);
        }
        facts_.learn_destination(std::move(whole));
        if (world_.place == Place::here)
            facts_.learn_source(world_.source->whole);
    }

    const World& world_;
    const Policy& policy_;
    Facts facts_;
    std::vector<Need> needs_;
};

bool is_exempt(const Owner& owner, bool listens, const Policy& policy) {
    const auto& exempt = listens ? policy.exempt_listeners : policy.exempt_connectors;
    return (owner.kind == OwnerKind::user && owner.uid == exempt_uid && !exempt.empty()) ||
           (owner.kind == OwnerKind::kernel && !policy.exempt_kernel.empty());
}

std::string describe(const World& world, unsigned number, Reason reason) {
    return std::string(to_string(reason)) + ": policy " + std::to_string(number) + ", place " +
           std::to_string(int(world.place)) + ", reply " + std::to_string(world.reply) + ", uids " +
           std::to_string(value(world.destination->first.uid)) + " " +
           std::to_string(value(world.source->first.uid)) + ", trouble " +
           std::to_string(int(world.trouble));
}

// The rule that an outcome breaks; empty if it breaks none.
std::string wrong(const World& world, const Policy& policy, const Carrier& carrier, Reason reason) {
    if (reason == Reason::count_)
        return "does not end";
    for (const auto need : {Need::destination, Need::source, Need::group, Need::sharers,
                            Need::same_destination, Need::fresh_labels})
        if (carrier.count(need) > 1)
            return "asks twice";
    if (carrier.count(Need::answer) > 2 || carrier.count(Need::credentials) > 2)
        return "asks too often";
    if (carrier.count(Need::credentials) == 2 && world.trouble != Trouble::sharers)
        return "searches twice";
    if (world.place != Place::peer && carrier.count(Need::answer) + carrier.count(Need::group) > 0)
        return "asks a peer about what is none's";

    const auto& facts = carrier.facts();
    const bool allowed = action_of(reason) == Action::allow;
    const bool exempt =
        is_exempt(facts.listener(), true, policy) || is_exempt(facts.connector(), false, policy);
    const bool has_unknown =
        facts.listener().kind == OwnerKind::unknown || facts.connector().kind == OwnerKind::unknown;
    if (allowed && has_unknown && !exempt)
        return "allows an unknown end";
    if (allowed && world.trouble == Trouble::moved)
        return "allows what goes to another socket now";
    if (reason == Reason::same_label && (world.trouble == Trouble::relabelled || world.translated))
        return "allows by a label that nothing would end";
    const bool by_credentials = reason == Reason::same_group || reason == Reason::same_label;
    if (by_credentials && carrier.count(Need::sharers) == 0)
        return "does not ask who shares the port";
    // If nothing went wrong, decide() says the same about the final facts.
    const auto decided =
        decide(facts.from_connector(), facts.listener(), facts.connector(), policy).reason;
    if (allowed && decided != reason)
        return "allows what decide() does not";
    if (world.trouble == Trouble::none && !world.translated && decided != reason &&
        reason != Reason::no_listener && reason != Reason::shared_port)
        return "decides otherwise than decide(): " + std::string(to_string(decided));
    return {};
}

TEST(Inquiry, EverySmallWorldIsDecidedAsItsFactsAre) {
    const auto all = truths();
    std::size_t worlds = 0;
    std::set<Reason> seen;
    for (unsigned number = 0; number < 256; ++number) {
        const auto rules = policy(number);
        for (const auto place : {Place::here, Place::peer, Place::elsewhere})
            for (const bool reply : {false, true})
                for (const auto trouble : {Trouble::none, Trouble::failed, Trouble::silent,
                                           Trouble::late, Trouble::no_room, Trouble::changed,
                                           Trouble::relabelled, Trouble::moved, Trouble::sharers})
                    for (const auto& destination : all)
                        for (const auto& source : all) {
                            const bool translated = trouble == Trouble::changed;
                            const World world{place,        reply,   translated,
                                              &destination, &source, trouble};
                            Carrier carrier(world, rules);
                            const auto reason = carrier.run();
                            ++worlds;
                            seen.insert(reason);
                            const auto fault = wrong(world, rules, carrier, reason);
                            ASSERT_EQ(fault, "") << describe(world, number, reason);
                        }
    }
    EXPECT_GT(worlds, 5'000'000u);
    for (const auto reason :
         {Reason::exempt_listener, Reason::exempt_connector, Reason::same_user, Reason::same_group,
          Reason::same_label, Reason::outside_allowed, Reason::label_required,
          Reason::different_user, Reason::connector_unknown, Reason::shared_port,
          Reason::translated, Reason::outside, Reason::no_answer, Reason::internal_error,
          Reason::no_listener, Reason::overload, Reason::gone})
        EXPECT_TRUE(seen.contains(reason)) << to_string(reason);
}

Facts between_peers() {
    Facts facts;
    facts.flow = *Flow::parse("tcp 10.0.0.1:40000 -> 10.0.0.2:8888");
    facts.destination = Owner::user(Uid{1000});
    return facts;
}

TEST(Inquiry, AnExemptListenerNeedsNoQuestion) {
    auto facts = between_peers();
    Policy rules;
    rules.exempt_listeners = {{{Uid{1000}, Uid{1000}}, {}}};
    facts.answer.missing = Reason::no_answer; // though its peer is silent
    facts.same_destination = true;
    EXPECT_EQ(next(facts, rules), Step(Reason::exempt_listener));
}

TEST(Inquiry, OneUserNeedsNoCredentials) {
    auto facts = between_peers();
    EXPECT_EQ(next(facts, Policy{}), Step(Need::answer));
    facts.learn_source(Owner::user(Uid{1000}));
    facts.answer.more_follows = true;
    EXPECT_EQ(next(facts, Policy{}), Step(Need::same_destination));
    facts.same_destination = true;
    EXPECT_EQ(next(facts, Policy{}), Step(Reason::same_user));
}

TEST(Inquiry, OfTooManyGroupsThePeerIsAskedForTheOneThatCounts) {
    auto facts = between_peers();
    facts.same_destination = facts.sharers_known = true;
    facts.learn_destination(with(Uid{1000}, group, {}));
    facts.learn_source(with(Uid{2000}, Gid{7}, {}));
    EXPECT_EQ(next(facts, Policy{}), Step(Reason::different_user));
    facts.answer.groups_cut = true;
    EXPECT_EQ(next(facts, Policy{}), Step(Need::group));
    facts.answer.group_asked = true;
    facts.learn_source(with(Uid{2000}, group, {}));
    EXPECT_EQ(next(facts, Policy{}), Step(Reason::same_group));
}

TEST(Inquiry, ALevelThatThePacketStatesMustBeTheOneThatThePeerTells) {
    auto facts = between_peers();
    facts.stated = StatedLevel{SelinuxLevel{0, {1, 2}}};
    const auto level = *SelinuxLevel{0, {1, 2}}.label();
    EXPECT_EQ(facts.learn_source(with(Uid{2000}, {}, {level})), Facts::Levels::agree);
    EXPECT_EQ(facts.source->credentials->labels.size(), 1u);
    // The contradiction shows in each answer.
    const auto other = *SelinuxLevel{0, {3}}.label();
    for (int answer = 0; answer < 2; ++answer) {
        EXPECT_EQ(facts.learn_source(with(Uid{2000}, {}, {other})), Facts::Levels::contradict);
        EXPECT_TRUE(facts.source->credentials->labels.empty());
        EXPECT_FALSE(facts.source->credentials->labels_known);
    }
    EXPECT_EQ(facts.learn_source(with(Uid{2000}, {}, {})), Facts::Levels::contradict);
}

TEST(Inquiry, BothEndsCarryTheLabelOfTheirPartition) {
    auto facts = between_peers();
    facts.partition = job;
    facts.learn_destination(with(Uid{1000}, {}, {}));
    facts.learn_source(with(Uid{2000}, {}, {}));
    for (const auto* owner : {&*facts.destination, &*facts.source})
        EXPECT_EQ(owner->credentials->labels, std::vector{job});
}

} // namespace
} // namespace ubf
