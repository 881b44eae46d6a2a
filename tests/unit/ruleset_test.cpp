#include "nft/interval.hpp"
#include "nft/ruleset.hpp"
#include "nft/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <sstream>

namespace ubf::nft {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Set::Element element(Bytes first, Bytes last) {
    return {std::move(first), std::move(last), ""};
}

TEST(Interval, begins_with_its_first_and_ends_behind_its_last) {
    const Set set{"s", "", SetType::port, {element({0x1f, 0x90}, {0x1f, 0xff})}};
    EXPECT_THAT(boundaries(set),
                ElementsAre(Boundary{{0x1f, 0x90}, false}, Boundary{{0x20, 0x00}, true}));
}

TEST(Interval, that_reaches_the_end_has_none) {
    const Set set{"s", "", SetType::port, {element({4, 0}, {0xff, 0xff})}};
    EXPECT_THAT(boundaries(set), ElementsAre(Boundary{{4, 0}, false}));
}

TEST(Interval, those_that_touch_are_one) {
    const Set set{"s", "", SetType::port, {element({0, 1}, {0, 2}), element({0, 3}, {0, 4})}};
    EXPECT_THAT(boundaries(set), ElementsAre(Boundary{{0, 1}, false}, Boundary{{0, 5}, true}));
}

TEST(Interval, the_gap_that_nft_adds_before_the_first_is_no_interval) {
    EXPECT_THAT(tidied({{{0, 5}, true}, {{0, 1}, false}, {{0, 0}, true}}),
                ElementsAre(Boundary{{0, 1}, false}, Boundary{{0, 5}, true}));
}

Ruleset make(std::string_view toml = "", const Environment& environment = {}) {
    return make_ruleset(parse_config(toml, "test.toml"), environment);
}

TEST(Ruleset, every_rule_has_an_id_of_its_own) {
    const auto ruleset = make();
    std::set<std::string> ids;
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
}

TEST(Ruleset, the_text_says_every_rule_and_touches_no_other_table) {
    const auto ruleset = make("[peers]\nranges = [\"10.0.0.0/8\"]");
    const auto text = to_text(ruleset);
    for (const auto& chain : ruleset.chains)
        for (const auto& rule : chain.rules)
            EXPECT_THAT(text, HasSubstr("comment \"" + rule.id + '"'));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const bool command = line.starts_with("add ") || line.starts_with("flush ") ||
                             line.starts_with("delete ") || line.starts_with("table ");
        EXPECT_TRUE(!command || line.find(" inet ubf") != std::string::npos) << line;
        EXPECT_FALSE(line.starts_with("delete")) << line;
    }
}

TEST(Ruleset, what_never_got_a_verdict_is_refused_unless_the_site_says_otherwise) {
    EXPECT_THAT(to_text(make()), HasSubstr("counter reject with icmpx admin-prohibited comment "
                                           "\"ubf:verdict:no_verdict\""));
    EXPECT_THAT(to_text(make("[ruleset]\nwithout_daemon = \"allow\"")),
                HasSubstr("counter accept comment \"ubf:verdict:no_verdict\""));
}

TEST(Ruleset, one_queue_needs_no_fanout) {
    Environment environment;
    EXPECT_THAT(to_text(make("", environment)), HasSubstr("queue flags bypass to $queues"));
    environment.queue_count = 4;
    EXPECT_THAT(to_text(make("", environment)), HasSubstr("queue flags bypass,fanout to $queues"));
    EXPECT_THAT(to_text(make("", environment)), HasSubstr("define queues = 0-3"));
}

TEST(Ruleset, where_every_port_is_anybodys_a_low_port_proves_nothing) {
    Environment environment;
    environment.unprivileged_port_start = 0;
    EXPECT_THAT(to_text(make("", environment)), Not(HasSubstr("udp_system")));
}

TEST(Ruleset, counters_go_by_the_name_between_chain_and_variant) {
    EXPECT_EQ(counter_name("ubf:verdict:denied"), "denied");
    EXPECT_EQ(counter_name("ubf:scope:multicast:ipv6"), "multicast");
    EXPECT_EQ(counter_name("somebody else's"), "");
    EXPECT_EQ(counter_name("ubf:"), "");
}

TEST(Ruleset, the_fabric_is_not_tracked_unless_other_rules_need_it) {
    EXPECT_THAT(to_text(make()), HasSubstr("meta iiftype 32 notrack"));
    EXPECT_THAT(to_text(make("[fabric]\nnotrack = false")), Not(HasSubstr(" notrack")));
}

TEST(Ruleset, without_a_fabric_its_chains_and_sets_are_there_but_do_nothing) {
    const auto on = make();
    const auto off = make("[fabric]\nenabled = false");
    ASSERT_EQ(on.chains.size(), off.chains.size());
    ASSERT_EQ(on.sets.size(), off.sets.size());
    EXPECT_THAT(to_text(off), Not(HasSubstr("type 32")));
    for (const auto& chain : off.chains) {
        const bool of_fabric = chain.name.starts_with("fabric");
        EXPECT_TRUE(!of_fabric || chain.rules.empty()) << chain.name;
    }
}

// Other programs write connection marks.
TEST(Ruleset, no_connection_mark_says_anything) {
    EXPECT_THAT(to_text(make()), Not(HasSubstr("ct mark")));
}

TEST(Ruleset, protocols_pass_by_a_list_and_the_rest_is_refused_in_and_out) {
    const auto text = to_text(make("[scope]\nprotocols = [\"esp\"]\n[fabric]\nprotocols = [89]"));
    EXPECT_THAT(text, HasSubstr("define protocols = { 1, 2, 50, 58 }"));
    EXPECT_THAT(text, HasSubstr("define fabric_protocols = { 1, 2, 58, 89 }"));
    for (const char* chain : {"scope", "fabric"})
        EXPECT_THAT(text, HasSubstr(fmt::format(
                              "meta l4proto != tcp meta l4proto != udp counter reject with icmpx "
                              "admin-prohibited comment \"ubf:{}:other_protocols\"",
                              chain)));
    EXPECT_THAT(text, HasSubstr("meta skuid != 0 counter reject with icmpx admin-prohibited "
                                "comment \"ubf:protocols_out:protocols_out\""));
}

TEST(Ruleset, established_tcp_leaves_the_way_out_by_its_first_rule) {
    const auto ruleset = make();
    const auto& output = ruleset.chains.back();
    ASSERT_EQ(output.name, "output");
    const auto& first = output.rules.front();
    EXPECT_EQ(first.statements.size(), 3u);
    EXPECT_EQ(first.statements.back().text, "accept");
}

TEST(Ruleset, what_is_forged_is_dropped_not_refused_to_whom_it_names) {
    EXPECT_THAT(to_text(make()),
                HasSubstr("meta skuid != 0 socket transparent 0 counter drop comment "
                          "\"ubf:not_local:forged\""));
}

TEST(Ruleset, what_a_running_ubfd_knows_is_not_emptied_by_an_import) {
    const auto text = to_text(make());
    EXPECT_THAT(text, HasSubstr("flush set inet ubf fabric_ports\n"));
    EXPECT_THAT(text, HasSubstr("add set inet ubf fabric_udp4"));
    for (const char* name : {"udp4", "fabric_udp4", "fabric_seen6", "denied4", "exempt_listeners6",
                             "exempt_places4", "exempt_holders6"})
        EXPECT_THAT(text, Not(HasSubstr(fmt::format("flush set inet ubf {}", name))));
}

} // namespace
} // namespace ubf::nft
