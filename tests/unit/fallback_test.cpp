#include "nft/fallback.hpp"
#include "nft/inspection.hpp"
#include "nft/stand_in.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <set>
#include <variant>

namespace ubf::nft {
namespace {

const char* const full_config = R"([peers]
ranges = ["10.0.0.0/8", "fd00::/8"]
[scope]
interfaces = ["eth0"]
exempt_ports = [9100]
)";

Ruleset make(std::string_view toml = full_config) {
    return make_ruleset(parse_config(toml, "test.toml"), Environment{});
}

const Chain& chain(const Ruleset& ruleset, std::string_view name) {
    const auto found = std::ranges::find(ruleset.chains, name, &Chain::name);
    EXPECT_NE(found, ruleset.chains.end()) << name;
    return *found;
}

std::set<std::string> all_modules(const Ruleset& ruleset) {
    std::set<std::string> all;
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            for (const auto& statement : rule.statements)
                for (const auto& expression : statement.expressions)
                    if (const auto name = modules(expression); !name.empty())
                        all.emplace(name);
    return all;
}

// The rule's verdict on a packet that meets all its conditions.
std::optional<std::int32_t> verdict(const Rule& rule) {
    for (const auto& statement : rule.statements)
        for (const auto& expression : statement.expressions) {
            if (const auto* immediate = std::get_if<Immediate>(&expression))
                return immediate->verdict;
            if (std::holds_alternative<Reject>(expression))
                return NF_DROP;
        }
    return {};
}

std::vector<std::string> conditions(const Rule& rule) {
    std::vector<std::string> all;
    for (const auto& statement : rule.statements)
        all.push_back(statement.text);
    all.pop_back(); // the verdict
    std::erase(all, "counter");
    return all;
}

// Each set of modules that a kernel may lack, by the bits of a number.
template<typename Check>
void for_each_lack(const Ruleset& ruleset, Check check) {
    const auto all = all_modules(ruleset);
    const std::vector<std::string> names(all.begin(), all.end());
    ASSERT_GT(names.size(), 5u);
    for (unsigned bits = 0; bits < 1u << names.size(); ++bits) {
        std::vector<std::string> lacks;
        for (std::size_t i = 0; i < names.size(); ++i)
            if ((bits >> i & 1) != 0)
                lacks.push_back(names[i]);
        check(lacks, reduced(ruleset, lacks));
    }
}

TEST(Reduced, takes_nothing_that_the_kernel_lacks) {
    for_each_lack(make(), [](const auto& lacks, const Ruleset& ruleset) {
        for (const auto& name : all_modules(ruleset))
            EXPECT_EQ(std::ranges::find(lacks, name), lacks.end()) << name;
    });
}

TEST(Reduced, what_nothing_let_in_is_refused_whatever_the_kernel_lacks) {
    for_each_lack(make(), [](const auto&, const Ruleset& ruleset) {
        const auto& last = chain(ruleset, "verdict").rules.back();
        EXPECT_EQ(last.id, "ubf:verdict:no_verdict");
        EXPECT_EQ(verdict(last), NF_DROP);
        EXPECT_TRUE(conditions(last).empty());
        // Nor does a SYN pass the rule that keeps it for the verdict.
        const auto& scope = chain(ruleset, "scope").rules;
        EXPECT_NE(std::ranges::find(scope, "ubf:scope:syn", &Rule::id), scope.end());
    });
}

TEST(Reduced, lets_in_by_no_rule_that_was_not_there_as_it_is) {
    const auto whole = make();
    for_each_lack(whole, [&](const auto&, const Ruleset& ruleset) {
        for (const auto& chain_left : ruleset.chains) {
            const auto& before = chain(whole, chain_left.name).rules;
            for (const auto& rule : chain_left.rules) {
                const auto was = std::ranges::find(before, rule.id, &Rule::id);
                ASSERT_NE(was, before.end()) << rule.id;
                EXPECT_EQ(verdict(rule), verdict(*was)) << rule.id;
                if (was->statements.back().text != "counter") {
                    EXPECT_EQ(conditions(rule), conditions(*was)) << rule.id;
                }
            }
        }
    });
}

TEST(LastResort, takes_no_module_and_no_set_and_stands_where_the_verdict_does) {
    const auto config = parse_config(full_config, "test.toml");
    const auto ruleset = last_resort(config, {});
    EXPECT_TRUE(ruleset.sets.empty());
    EXPECT_TRUE(all_modules(ruleset).empty());
    ASSERT_EQ(ruleset.chains.size(), 1u);
    EXPECT_EQ(ruleset.chains.front().hook, chain(make(), "verdict").hook);
    for (const auto& rule : ruleset.chains.front().rules)
        for (const auto& statement : rule.statements)
            for (const auto& expression : statement.expressions)
                EXPECT_FALSE(std::holds_alternative<Lookup>(expression));
}

TEST(StandIn, is_the_ruleset_and_a_mark_that_no_packet_reaches) {
    auto marked = as_stand_in(make());
    auto& rules = std::ranges::find(marked.chains, "verdict", &Chain::name)->rules;
    EXPECT_EQ(rules.back().id, "ubf:verdict:stand_in");
    rules.pop_back();
    EXPECT_TRUE(conditions(rules.back()).empty());
    EXPECT_EQ(rules.back().id, chain(make(), "verdict").rules.back().id);
}

TEST(StandIn, stands_in_for_what_is_absent_and_not_for_what_an_administrator_added) {
    for (const auto* absent :
         {"table inet ubf", "chain verdict", "rule ubf:gate:queue of chain gate", "set denied4",
          "table inet ubf: it is dormant", "chain gate: its hook, priority or policy"})
        EXPECT_TRUE(is_absence(absent)) << absent;
    for (const auto* there : {"elements of set peers4", "a rule of chain gate that isn't ubf's",
                              "the order of chain gate"})
        EXPECT_FALSE(is_absence(there)) << there;
}

} // namespace
} // namespace ubf::nft
