// A second implementation of the decision, written from 'The decision' in ubfd(8) alone and in its
// order, with sets of plain numbers. For random owners and policies both must agree.
#include "policy/policy.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <set>
#include <sstream>

namespace ubf {
namespace {

struct Reference {
    const Policy& policy;

    static bool within(const std::vector<UidRange>& ranges, Uid uid) {
        bool found = false;
        for (const auto& range : ranges)
            found = found || (value(uid) >= value(range.first) && value(uid) <= value(range.last));
        return found;
    }

    // The addresses of these tests are whole, and none is link-local.
    static bool there(const std::optional<Prefix>& place, const Address& end) {
        return !place || to_string(place->first()) == to_string(end);
    }

    bool exempt(const Flow& flow, const Owner& owner, const Address& end,
                const std::vector<Exemption>& exemptions) const {
        bool found = false;
        if (owner.kind == OwnerKind::user)
            for (const auto& each : exemptions)
                found = found || (within({each.users}, owner.uid) && there(each.at, end));
        if (owner.kind == OwnerKind::kernel)
            for (const auto& each : policy.exempt_kernel)
                found = found || ((flow.protocol == Protocol::tcp ? each.tcp : each.udp) &&
                                  flow.destination.port >= each.ports.first &&
                                  flow.destination.port <= each.ports.last && there(each.at, end));
        return found;
    }

    static std::set<std::uint32_t> groups(const Owner& owner) {
        std::set<std::uint32_t> all;
        if (!owner.credentials)
            return all;
        if (owner.credentials->gid)
            all.insert(value(*owner.credentials->gid));
        for (const Gid gid : owner.credentials->groups)
            all.insert(value(gid));
        return all;
    }

    static std::set<Label> labels(const Owner& owner) {
        if (!owner.credentials)
            return {};
        return {owner.credentials->labels.begin(), owner.credentials->labels.end()};
    }

    // The label behind an alias.
    Label meaning(const Label& label) const {
        const auto alias = policy.aliases.find(label);
        return alias == policy.aliases.end() ? label : alias->second;
    }

    bool may_carry(const Owner& owner, const Label& label) const {
        auto ruled = meaning(label);
        if (policy.labels.count(ruled) == 0)
            ruled.name = "*";
        if (policy.labels.count(ruled) == 0)
            return label.origin == LabelOrigin::map;
        const auto& rule = policy.labels.at(ruled);
        const auto has = groups(owner);
        return within(rule.users, owner.uid) ||
               std::any_of(rule.groups.begin(), rule.groups.end(),
                           [&](Gid gid) { return has.count(value(gid)) != 0; });
    }

    bool common_label(const Owner& a, const Owner& b) const {
        std::set<Label> of_a;
        std::set<Label> of_b;
        for (const auto& label : labels(a))
            if (may_carry(a, label))
                of_a.insert(meaning(label));
        for (const auto& label : labels(b))
            if (may_carry(b, label))
                of_b.insert(meaning(label));
        std::vector<Label> common;
        std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                              std::back_inserter(common));
        return !common.empty();
    }

    static Uid account(const Owner& owner) {
        if (owner.credentials && owner.credentials->account)
            return *owner.credentials->account;
        return owner.uid;
    }

    static bool known(const Owner& owner) {
        return owner.credentials && owner.credentials->labels_known;
    }

    Reason operator()(const Flow& flow, const Owner& listener, const Owner& connector) const {
        if (exempt(flow, listener, flow.destination.address, policy.exempt_listeners))
            return Reason::exempt_listener;
        if (listener.kind == OwnerKind::unknown)
            return Reason::listener_unknown;
        if (listener.kind == OwnerKind::shared)
            return Reason::shared_port;
        if (exempt(flow, connector, flow.source.address, policy.exempt_connectors))
            return Reason::exempt_connector;
        if (connector.kind == OwnerKind::shared)
            return Reason::shared_port;
        if (listener.kind == OwnerKind::translated || connector.kind == OwnerKind::translated)
            return Reason::translated;
        if (listener.kind == OwnerKind::unlisted || connector.kind == OwnerKind::unlisted)
            return Reason::unlisted;
        if (listener.kind == OwnerKind::outside || connector.kind == OwnerKind::outside)
            return policy.outside_allowed ? Reason::outside_allowed : Reason::outside;
        if (listener.kind == OwnerKind::unready || connector.kind == OwnerKind::unready)
            return policy.unready_allowed ? Reason::unready_allowed : Reason::unready;
        if (connector.kind == OwnerKind::unknown)
            return Reason::connector_unknown;
        const bool users = listener.kind == OwnerKind::user && connector.kind == OwnerKind::user;
        const bool labelled = !labels(listener).empty() || !labels(connector).empty();
        const bool sure = known(listener) && known(connector);
        for (const auto& each : policy.exceptions)
            if (users && within({each.connectors}, connector.uid) &&
                within({each.listeners}, listener.uid) &&
                (flow.protocol == Protocol::tcp ? each.tcp : each.udp) &&
                flow.destination.port >= each.ports.first &&
                flow.destination.port <= each.ports.last &&
                there(each.at, flow.destination.address))
                return Reason::excepted;
        if (users && policy.require_label &&
            (!sure || (labelled && !common_label(listener, connector))))
            return Reason::label_required;
        const bool same_account = policy.subids && account(listener) == account(connector);
        if (users && policy.same_user && (listener.uid == connector.uid || same_account))
            return Reason::same_user;
        if (users && policy.same_group && listener.credentials && listener.credentials->gid) {
            const Gid gid = *listener.credentials->gid;
            const bool ignored =
                std::count(policy.ignored_groups.begin(), policy.ignored_groups.end(), gid) != 0;
            if (!ignored && groups(connector).count(value(gid)) != 0)
                return Reason::same_group;
        }
        if (users && common_label(listener, connector))
            return Reason::same_label;
        return Reason::different_user;
    }
};

// A few values, so that they meet often.
class Dice {
  public:
    bool coin() { return number(2) == 0; }
    unsigned number(unsigned below) { return static_cast<unsigned>(random_() % below); }
    Uid uid() { return Uid{number(5)}; }
    Gid gid() { return Gid{number(4)}; }
    Label label() {
        const auto origin = coin() ? LabelOrigin::slurm : LabelOrigin::map;
        return {origin, std::string(1, "ab*"[number(3)])};
    }

    template<typename T, typename Make>
    std::vector<T> some(unsigned most, Make make) {
        std::vector<T> all;
        for (unsigned i = number(most + 1); i > 0; --i)
            all.push_back(make());
        return all;
    }

    Owner owner() {
        switch (number(12)) {
        case 0:
            return {};
        case 1:
            return Owner::kernel();
        case 2:
            return Owner::outside();
        case 3:
            return Owner::unlisted();
        case 4:
            return Owner::shared();
        case 5:
            return Owner::translated();
        case 6:
            return Owner::unready();
        default:
            break;
        }
        auto owner = Owner::user(uid());
        if (coin())
            return owner;
        owner.credentials.emplace();
        if (number(4) != 0)
            owner.credentials->gid = gid();
        owner.credentials->groups = some<Gid>(3, [this] { return gid(); });
        owner.credentials->labels = some<Label>(2, [this] { return label(); });
        owner.credentials->labels_known = number(4) != 0;
        if (number(4) == 0)
            owner.credentials->account = uid();
        return owner;
    }

    UidRange range() {
        const auto first = number(5);
        return {Uid{first}, Uid{first + number(2)}};
    }

    const char* address() {
        constexpr const char* all[] = {"10.0.0.1", "10.0.0.2", "fd00::1", "127.0.0.1"};
        return all[number(4)];
    }

    Flow flow() {
        return {coin() ? Protocol::tcp : Protocol::udp,
                {*Address::parse(address()), 9},
                {*Address::parse(address()), static_cast<Port>(number(4))}};
    }

    std::optional<Prefix> place() { return coin() ? Prefix::parse(address()) : std::nullopt; }

    Exemption exemption() {
        const auto users = range();
        return {users, place()};
    }

    Policy policy() {
        Policy policy;
        policy.same_user = number(4) != 0;
        policy.same_group = number(4) != 0;
        policy.subids = coin();
        policy.require_label = number(4) == 0;
        policy.exempt_kernel = some<KernelExemption>(2, [this] {
            const Port first = static_cast<Port>(number(3));
            return KernelExemption{
                coin(), coin(), {first, static_cast<Port>(first + number(2))}, place()};
        });
        policy.outside_allowed = coin();
        policy.unready_allowed = coin();
        if (coin())
            policy.exempt_listeners = some<Exemption>(2, [this] { return exemption(); });
        if (coin())
            policy.exempt_connectors = some<Exemption>(2, [this] { return exemption(); });
        if (coin())
            policy.exceptions = some<Exception>(2, [this] {
                const Port first = static_cast<Port>(number(3));
                const auto connectors = range();
                const auto listeners = range();
                return Exception{connectors,
                                 listeners,
                                 coin(),
                                 coin(),
                                 {first, static_cast<Port>(first + number(2))},
                                 place()};
            });
        policy.ignored_groups = some<Gid>(1, [this] { return gid(); });
        for (unsigned i = number(4); i > 0; --i)
            policy.labels[label()] = {some<UidRange>(2, [this] { return range(); }),
                                      some<Gid>(1, [this] { return gid(); })};
        for (unsigned i = number(3); i > 0; --i)
            policy.aliases.emplace(label(), label());
        return policy;
    }

  private:
    std::mt19937 random_{20'26};
};

TEST(Reference, agrees_for_random_owners_and_policies) {
    Dice dice;
    std::map<Reason, unsigned> seen;
    for (int i = 0; i < 300'000; ++i) {
        const auto policy = dice.policy();
        const auto listener = dice.owner();
        const auto connector = dice.owner();
        const auto flow = dice.flow();
        const auto expected = Reference{policy}(flow, listener, connector);
        ASSERT_EQ(decide(flow, listener, connector, policy).reason, expected)
            << i << ": " << to_string(expected);
        ++seen[expected];
        // A decision by the uid holds, whatever credentials are found.
        auto found = listener;
        if (settled_by_uid(flow, listener, connector, policy) && found.kind == OwnerKind::user &&
            !found.credentials) {
            found.credentials = Credentials{dice.gid(), {dice.gid()}, {dice.label()}, {},
                                            {},         dice.coin(),  dice.uid()};
            ASSERT_EQ(decide(flow, found, connector, policy).action(),
                      decide(flow, listener, connector, policy).action())
                << i;
        }
    }
    // Every reason of the decision came up, so the agreement is worth something.
    EXPECT_EQ(seen.size(), 17u);
    for (const auto& [reason, times] : seen)
        EXPECT_GT(times, 100u) << to_string(reason);
}

// Less knowledge about an owner never allows more.
TEST(Reference, who_is_unknown_is_allowed_by_exemption_alone) {
    Dice dice;
    for (int i = 0; i < 100'000; ++i) {
        const auto policy = dice.policy();
        const auto listener = dice.owner();
        const auto verdict = decide(dice.flow(), listener, Owner{}, policy);
        if (verdict.action() == Action::allow) {
            ASSERT_TRUE(
                verdict.reason == Reason::exempt_listener ||
                (verdict.reason == Reason::outside_allowed &&
                 listener.kind == OwnerKind::outside) ||
                (verdict.reason == Reason::unready_allowed && listener.kind == OwnerKind::unready));
        }
    }
}

} // namespace
} // namespace ubf
