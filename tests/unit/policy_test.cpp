#include "policy/policy.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string_view>

namespace ubf {
namespace {

constexpr Uid alice{2001};
constexpr Uid bob{2002};
constexpr Gid proj{3000};
constexpr Gid users{100};

Owner owner(Uid uid, Gid gid, std::vector<Gid> groups = {}, std::vector<Label> labels = {}) {
    auto result = Owner::user(uid);
    result.credentials = Credentials{gid, std::move(groups), std::move(labels), {}, {}, true};
    return result;
}

Label label(const char* name, LabelOrigin origin = LabelOrigin::slurm) {
    return {origin, name};
}

Reason verdict(const Owner& listener, const Owner& connector, const Policy& policy = {}) {
    return decide({}, listener, connector, policy).reason;
}

TEST(Policy, two_programs_of_one_user_may_talk) {
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(alice)), Reason::same_user);
}

TEST(Policy, two_users_may_not) {
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(bob)), Reason::different_user);
    EXPECT_EQ(verdict(owner(alice, Gid{2001}), owner(bob, Gid{2002})), Reason::different_user);
}

TEST(Policy, one_user_may_not_where_the_rule_is_off) {
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(alice), {.same_user = false}),
              Reason::different_user);
}

TEST(Policy, the_listeners_effective_group_lets_its_members_in) {
    EXPECT_EQ(verdict(owner(alice, proj), owner(bob, Gid{2002}, {proj})), Reason::same_group);
    EXPECT_EQ(verdict(owner(alice, proj), owner(bob, proj)), Reason::same_group);
}

TEST(Policy, a_supplementary_group_of_the_listener_lets_nobody_in) {
    EXPECT_EQ(verdict(owner(alice, Gid{2001}, {proj}), owner(bob, proj, {proj})),
              Reason::different_user);
}

TEST(Policy, an_exception_opens_one_way_and_no_wider) {
    const Policy policy{
        .require_label = true,
        .exceptions = {
            {{bob, bob}, {alice, alice}, true, false, {8786, 8786}, Prefix::parse("10.0.0.2")}}};
    Flow flow{
        Protocol::tcp, {*Address::parse("10.0.0.1"), 40000}, {*Address::parse("10.0.0.2"), 8786}};
    const auto decided = [&](Uid listener, Uid connector) {
        return decide(flow, Owner::user(listener), Owner::user(connector), policy).reason;
    };
    EXPECT_EQ(decided(alice, bob), Reason::excepted);
    EXPECT_TRUE(settled_by_uid(flow, Owner::user(alice), Owner::user(bob), policy));
    EXPECT_NE(decided(bob, alice), Reason::excepted);
    EXPECT_NE(decided(alice, Uid{2003}), Reason::excepted);
    EXPECT_NE(decided(Uid{2003}, bob), Reason::excepted);
    flow.destination.port = 8787;
    EXPECT_NE(decided(alice, bob), Reason::excepted);
    flow.destination.port = 8786;
    flow.destination.address = *Address::parse("10.0.0.3");
    EXPECT_NE(decided(alice, bob), Reason::excepted);
    flow.destination.address = *Address::parse("10.0.0.2");
    flow.protocol = Protocol::udp;
    EXPECT_NE(decided(alice, bob), Reason::excepted);
}

TEST(Policy, an_ignored_group_lets_nobody_in) {
    const Policy policy{.ignored_groups = {users}};
    EXPECT_EQ(verdict(owner(alice, users), owner(bob, users, {users}), policy),
              Reason::different_user);
}

TEST(Policy, no_group_lets_anybody_in_where_the_rule_is_off) {
    EXPECT_EQ(verdict(owner(alice, proj), owner(bob, proj), {.same_group = false}),
              Reason::different_user);
}

TEST(Policy, a_listener_whose_holders_differ_in_group_lets_no_group_in) {
    auto listener = owner(alice, proj);
    listener.credentials->gid.reset();
    EXPECT_EQ(verdict(listener, owner(bob, proj)), Reason::different_user);
}

TEST(Policy, an_exempt_listener_is_open_to_everybody_even_the_unknown) {
    const Policy policy{.exempt_listeners = {{{Uid{0}, Uid{0}}}, {{Uid{2000}, Uid{2001}}}}};
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(bob), policy), Reason::exempt_listener);
    EXPECT_EQ(verdict(Owner::user(alice), Owner{}, policy), Reason::exempt_listener);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::outside(), policy), Reason::exempt_listener);
    EXPECT_EQ(verdict(Owner::user(bob), Owner::user(alice), policy), Reason::different_user);
}

TEST(Policy, a_word_that_does_not_count_refuses_and_exempts_nobody) {
    auto connector = Owner::user(alice);
    for (const auto& [word, reason] : {std::pair{Word::no_class, Reason::wrong_class},
                                       std::pair{Word::no_grant, Reason::no_grant},
                                       std::pair{Word::no_certificate, Reason::no_certificate}}) {
        connector.word = word;
        EXPECT_EQ(verdict(Owner::user(alice), connector), reason);
        EXPECT_EQ(verdict(connector, Owner::user(alice)), reason); // of an answer by UDP
    }
    Owner nobody;
    nobody.word = Word::no_certificate;
    EXPECT_EQ(verdict(Owner::user(alice), nobody), Reason::no_certificate);
}

TEST(Policy, an_exempt_user_counts_only_where_the_class_of_the_node_says_so) {
    const Policy policy{.exempt_listeners = {{{alice, alice}, {}}},
                        .exempt_connectors = {{{alice, alice}, {}}}};
    auto remote = Owner::user(alice);
    EXPECT_EQ(verdict(Owner::user(bob), remote, policy), Reason::exempt_connector);
    EXPECT_EQ(verdict(remote, Owner::user(bob), policy), Reason::exempt_listener);
    remote.may_be_exempt = false;
    EXPECT_EQ(verdict(Owner::user(bob), remote, policy), Reason::different_user);
    EXPECT_EQ(verdict(remote, Owner::user(bob), policy), Reason::different_user);
    auto kernel = Owner::kernel();
    EXPECT_EQ(verdict(Owner::user(bob), kernel), Reason::exempt_connector);
    kernel.may_be_exempt = false;
    kernel.word = Word::no_class;
    EXPECT_EQ(verdict(Owner::user(bob), kernel), Reason::wrong_class);
}

TEST(Policy, a_uid_range_holds_all_of_its_uids) {
    const Policy policy{.exempt_connectors = {{{Uid{1000}, Uid{2000}}}}};
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(Uid{1000}), policy),
              Reason::exempt_connector);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(Uid{1500}), policy),
              Reason::exempt_connector);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(Uid{2000}), policy),
              Reason::exempt_connector);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(Uid{2002}), policy), Reason::different_user);
}

TEST(Policy, root_is_nobody_special_unless_the_policy_says_so) {
    EXPECT_EQ(verdict(Owner::user(alice), Owner::user(Uid{0})), Reason::different_user);
    EXPECT_EQ(verdict(Owner::user(Uid{0}), Owner::user(alice)), Reason::different_user);
}

TEST(Policy, the_kernels_own_sockets_have_their_own_exemption) {
    EXPECT_EQ(verdict(Owner::kernel(), Owner::user(bob)), Reason::exempt_listener);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::kernel()), Reason::exempt_connector);
    const Policy strict{.exempt_connectors = {{{Uid{0}, Uid{0}}}}, .exempt_kernel = {}};
    EXPECT_EQ(verdict(Owner::kernel(), Owner::user(bob), strict), Reason::different_user);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::kernel(), strict), Reason::different_user);
}

TEST(Policy, an_unknown_owner_is_never_allowed_by_user_group_or_label) {
    EXPECT_EQ(verdict(Owner::user(Uid{0}), Owner{}), Reason::connector_unknown);
    EXPECT_EQ(verdict(Owner{}, Owner::user(Uid{0})), Reason::listener_unknown);
    EXPECT_EQ(verdict(Owner{}, Owner{}), Reason::listener_unknown);
}

TEST(Policy, an_address_outside_is_let_in_by_one_setting) {
    EXPECT_EQ(verdict(Owner::user(alice), Owner::outside()), Reason::outside);
    EXPECT_EQ(verdict(Owner::user(alice), Owner::outside(), {.outside_allowed = true}),
              Reason::outside_allowed);
}

struct Labels : testing::Test {
    Policy policy{.labels = {{label("chem"), {{{alice, bob}}, {}}},
                             {label("phys"), {{{alice, alice}}, {proj}}}}};
};

TEST_F(Labels, a_label_in_common_lets_in) {
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("chem")}),
                      owner(bob, Gid{2}, {}, {label("chem")}), policy),
              Reason::same_label);
}

TEST_F(Labels, a_label_that_one_end_may_not_carry_matches_nothing) {
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("phys")}),
                      owner(bob, Gid{2}, {}, {label("phys")}), policy),
              Reason::different_user);
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("phys")}),
                      owner(bob, Gid{2}, {proj}, {label("phys")}), policy),
              Reason::same_label);
}

TEST_F(Labels, a_label_without_a_rule_matches_nothing) {
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("free")}),
                      owner(bob, Gid{2}, {}, {label("free")}), policy),
              Reason::different_user);
}

TEST_F(Labels, labels_of_different_origins_are_not_equal) {
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("chem")}),
                      owner(bob, Gid{2}, {}, {label("chem", LabelOrigin::map)}), policy),
              Reason::different_user);
}

TEST_F(Labels, where_labels_are_required_even_one_user_is_kept_apart) {
    policy.require_label = true;
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("chem")}),
                      owner(alice, Gid{1}, {}, {label("phys")}), policy),
              Reason::label_required);
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("chem")}), owner(alice, Gid{1}), policy),
              Reason::label_required);
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("chem")}),
                      owner(alice, Gid{1}, {}, {label("chem")}), policy),
              Reason::same_user);
    EXPECT_EQ(verdict(owner(alice, Gid{1}), owner(alice, Gid{1}), policy), Reason::same_user);
}

TEST_F(Labels, where_labels_are_required_who_may_carry_unknown_ones_is_kept_apart) {
    policy.require_label = true;
    auto unknown = owner(alice, Gid{1});
    unknown.credentials->labels_known = false;
    EXPECT_EQ(verdict(unknown, owner(alice, Gid{1}), policy), Reason::label_required);
    EXPECT_EQ(verdict(owner(alice, Gid{1}), unknown, policy), Reason::label_required);
    EXPECT_EQ(verdict(owner(alice, Gid{1}), Owner::user(alice), policy), Reason::label_required);
    policy.require_label = false;
    EXPECT_EQ(verdict(unknown, owner(alice, Gid{1}), policy), Reason::same_user);
}

TEST_F(Labels, of_the_map_are_the_administrators_word_and_need_no_rule) {
    const auto team = label("teamx", LabelOrigin::map);
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {team}), owner(bob, Gid{2}, {}, {team}), policy),
              Reason::same_label);
    policy.labels[team] = {{{alice, alice}}, {}}; // unless the label has a rule
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {team}), owner(bob, Gid{2}, {}, {team}), policy),
              Reason::different_user);
}

TEST_F(Labels, an_alias_makes_two_labels_one) {
    const auto team = label("teamx", LabelOrigin::map);
    const auto job = owner(alice, Gid{1}, {}, {label("chem")});
    const auto member = owner(bob, Gid{2}, {}, {team});
    EXPECT_EQ(verdict(job, member, policy), Reason::different_user);
    policy.aliases[label("chem")] = team;
    // A label that users choose for themselves still needs a rule: the one for the alias's target.
    EXPECT_EQ(verdict(job, member, policy), Reason::different_user);
    EXPECT_EQ(verdict(member, member, policy), Reason::same_user);
    policy.labels[team] = {{{alice, bob}}, {}};
    EXPECT_EQ(verdict(job, member, policy), Reason::same_label);
    EXPECT_EQ(verdict(member, job, policy), Reason::same_label);
}

TEST_F(Labels, one_rule_may_be_for_all_of_an_origin) {
    const auto free = label("free");
    policy.labels[label("*")] = {{{alice, bob}}, {}};
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {free}), owner(bob, Gid{2}, {}, {free}), policy),
              Reason::same_label);
    // A rule for the label itself comes first.
    EXPECT_EQ(verdict(owner(alice, Gid{1}, {}, {label("phys")}),
                      owner(bob, Gid{2}, {}, {label("phys")}), policy),
              Reason::different_user);
}

TEST_F(Labels, are_compared_in_words) {
    const auto chem = owner(alice, Gid{1}, {}, {label("chem")});
    const auto phys = owner(bob, Gid{2}, {}, {label("phys"), label("x")});
    EXPECT_EQ(compare_labels(chem, phys, policy),
              "labels: listener slurm:chem, connector slurm:phys,slurm:x: none in common");
    EXPECT_EQ(compare_labels(chem, chem, policy),
              "labels: listener slurm:chem, connector slurm:chem: one in common");
    EXPECT_EQ(compare_labels(owner(alice, Gid{1}), Owner::user(bob), policy),
              "labels: listener none, connector not known");
    EXPECT_EQ(compare_labels(phys, phys, policy),
              "labels: listener slurm:phys,slurm:x, connector slurm:phys,slurm:x: slurm:phys in "
              "common, which counts for nothing: [policy.labels] does not let the listener carry "
              "it");
    const auto free = owner(alice, Gid{1}, {}, {label("free")});
    EXPECT_EQ(compare_labels(free, free, policy),
              "labels: listener slurm:free, connector slurm:free: slurm:free in common, which "
              "counts for nothing: no [policy.labels.\"slurm:free\"] says who may carry it");
}

TEST(Settled, nobody_is_looked_for_where_the_uid_decides) {
    EXPECT_TRUE(settled_by_uid({}, Owner::user(alice), Owner::user(alice), {}));
    EXPECT_TRUE(settled_by_uid({}, Owner::user(alice), Owner{}, {}));
    EXPECT_TRUE(settled_by_uid({}, Owner::user(alice), Owner::outside(), {}));
    EXPECT_FALSE(settled_by_uid({}, Owner::user(alice), Owner::user(bob), {}));
    EXPECT_FALSE(
        settled_by_uid({}, Owner::user(alice), Owner::user(alice), {.require_label = true}));
}

TEST(Settled, a_socket_of_root_is_looked_for_where_it_may_be_the_kernels) {
    const auto root = Owner::user(Uid{0});
    EXPECT_FALSE(settled_by_uid({}, root, Owner::outside(), {}));
    EXPECT_TRUE(settled_by_uid({}, root, Owner::outside(), {.exempt_kernel = {}}));
    EXPECT_TRUE(settled_by_uid({}, root, Owner::outside(), {.outside_allowed = true}));
    EXPECT_FALSE(settled_by_uid({}, root, Owner{}, {}));
    EXPECT_TRUE(settled_by_uid({}, root, root, {}));
    EXPECT_TRUE(settled_by_uid({}, owner(Uid{0}, Gid{0}), Owner::outside(), {}));
}

TEST(Reasons, each_has_a_name_an_action_and_a_hint) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::count_); ++i) {
        const auto reason = static_cast<Reason>(i);
        EXPECT_NE(to_string(reason), "?");
        EXPECT_NE(hint(reason), "?");
        EXPECT_TRUE(names.insert(to_string(reason)).second);
    }
}

TEST(Reasons, only_the_eight_of_the_policy_allow_and_what_is_observed) {
    std::size_t allowed = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::count_); ++i)
        allowed += action_of(static_cast<Reason>(i)) == Action::allow ? 1 : 0;
    EXPECT_EQ(allowed, 8u + 1u);
    EXPECT_EQ(action_of(Reason::internal_error), Action::deny);
    EXPECT_EQ(action_of(Reason::no_answer), Action::deny);
    EXPECT_EQ(action_of(Reason::no_answer_yet), Action::drop);
    EXPECT_EQ(action_of(Reason::no_listener), Action::closed);
}

} // namespace
} // namespace ubf
