#include "config/config.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tuple>

namespace ubf {
namespace {

using testing::HasSubstr;

TEST(Configuration, an_empty_file_is_all_defaults) {
    const auto config = parse_config("", "f");
    EXPECT_EQ(config.queue.length, 16384u);
    EXPECT_EQ(config.ident.deadline.count(), 900);
    EXPECT_TRUE(config.policy.same_user);
    EXPECT_FALSE(config.policy.outside_allowed);
}

// A file in which no option has its default.
class EveryOption : public testing::Test {
  protected:
    const Config config = parse_config(std::string(R"(
[queue]
first = 4
count = 2
length = 1000
[scope]
interfaces = ["eth0", "lo"]
ports = ["2000-3000", 80]
exempt_ports = ["tcp/22", "udp/5353", 8080, "tcp/9000-9100"]
outbound_deny = ["eth1", "bmc*"]
[peers]
ranges = ["10.0.0.0/16", "fd00::/64"]
[policy]
same_user = true
same_group = false
require_label = true
kernel = "deny"
outside = "allow"
exempt_listeners = ["root", "1000-1999", 33]
exempt_connectors = [0]
ignored_groups = ["users", 5]
[policy.labels."slurm:physics"]
allow = ["root", "@users", "1000-1010"]
[limits]
new_connections = "100/s burst 200"
new_udp_flows = "50/s burst 60"
users = ["root", "1000-1999"]
action = "refuse"
[slurm]
conf = ""
submit_hosts = ["login1", "10.0.9.0/24"]
[labels]
slurm = true
selinux = true
state_directory = "/d"
when_withdrawn = "keep"
leftovers = "kill"
[listeners]
keep = [33, "1000-1010"]
[labels.map]
teamx = ["root", 7, "1000-1010", "@users", "account:chem", "partition:gpu"]
[labels.aliases]
"slurm:physics" = "map:teamx"
[owners]
bpf = false
[ident]
port = 1000
key_file = "/k"
deadline_ms = 500
clock_skew_ms = 1000
require_certificates = true
[identity]
key = "/n"
certificate = "/c"
roster = "/r"
authorities = ["ubf-authority-1 )") + std::string(64, 'a') +
                                           R"("]
[identity.classes.compute]
users = ["1000-59999", 7]
vouch = "jobs"
groups = false
[identity.classes.login]
users = ["0-59999"]
kernel = true
exempt = true
vouch = "any"
[ruleset]
manage = false
when_gone = "report"
without_daemon = "allow"
on_stop = "keep"
[mark]
mask = 0x0e000000
[log]
target = "stderr"
fold_s = 5
[control]
socket = "/s"
[portal]
users = [33, 34]
for = ["1000-1999", 3000]
targets = ["10.0.0.0/24"]
peers = ["10.0.0.3"]
domains = [".Cluster.example.org"]
group = "users"
ticket_s = 5
source_ports = [40001, "40100-40101"]
socket = "/p"
forward = "/f"
)",
                                       "f");
};

TEST_F(EveryOption, has_queues_a_scope_peers_and_limits) {
    EXPECT_EQ(config.queue.first, 4);
    EXPECT_EQ(config.scope.ports, (std::vector<PortRange>{{80, 80}, {2000, 3000}}));
    EXPECT_EQ(config.scope.exempt_ports.size(), 4u);
    EXPECT_EQ(config.scope.outbound_deny.size(), 2u);
    EXPECT_EQ(config.limits.connections, (Config::Limits::Rate{100, 200}));
    EXPECT_EQ(config.limits.udp_flows, (Config::Limits::Rate{50, 60}));
    EXPECT_EQ(config.limits.users.size(), 2u);
    EXPECT_TRUE(config.limits.refuse);
    EXPECT_EQ(config.slurm.submit_hosts.size(), 2u);
    EXPECT_FALSE(config.scope.exempt_ports[0].udp);
    EXPECT_EQ(config.peers.ranges.size(), 2u);
}

TEST_F(EveryOption, has_a_policy) {
    EXPECT_FALSE(config.policy.same_group);
    EXPECT_TRUE(config.policy.exempt_kernel.empty());
    EXPECT_TRUE(config.policy.outside_allowed);
    EXPECT_EQ(config.policy.exempt_listeners,
              (std::vector<Exemption>{
                  {{Uid{0}, Uid{0}}}, {{Uid{33}, Uid{33}}}, {{Uid{1000}, Uid{1999}}}}));
    EXPECT_EQ(config.policy.ignored_groups, (std::vector<Gid>{Gid{5}, Gid{100}}));
    const auto& rule = config.policy.labels.at({LabelOrigin::slurm, "physics"});
    EXPECT_EQ(rule.users.size(), 2u);
    EXPECT_EQ(rule.groups, std::vector<Gid>{Gid{100}});
}

TEST_F(EveryOption, has_labels_and_what_their_end_does) {
    EXPECT_TRUE(config.labels.slurm && config.labels.selinux && !config.labels.end_flows);
    EXPECT_EQ(config.labels.leftovers, Config::Labels::Leftovers::kill);
    ASSERT_EQ(config.labels.map.size(), 1u);
    const auto& mapping = config.labels.map[0];
    EXPECT_EQ(mapping.label, (Label{LabelOrigin::map, "teamx"}));
    EXPECT_EQ(mapping.users.size(), 3u);
    EXPECT_EQ(mapping.groups.size(), 1u);
    EXPECT_EQ(mapping.accounts, (std::vector<std::string>{"chem"}));
    EXPECT_EQ(mapping.partitions, (std::vector<std::string>{"gpu"}));
    EXPECT_EQ(config.policy.aliases.at({LabelOrigin::slurm, "physics"}), mapping.label);
}

TEST_F(EveryOption, has_identities_of_nodes) {
    EXPECT_TRUE(config.ident.require_certificates);
    EXPECT_EQ(config.identity.key, "/n");
    EXPECT_EQ(config.identity.certificate, "/c");
    EXPECT_EQ(config.identity.roster, "/r");
    ASSERT_EQ(config.identity.authorities.size(), 1u);
    EXPECT_EQ(config.identity.authorities[0].bytes[0], 0xaa);
    using identity::ClassRule;
    EXPECT_EQ(config.identity.classes.at("compute"),
              (ClassRule{{{Uid{1000}, Uid{59999}}, {Uid{7}, Uid{7}}}, false, false, true, false}));
    EXPECT_EQ(config.identity.classes.at("login"),
              (ClassRule{{{Uid{0}, Uid{59999}}}, true, true, false}));
}

TEST_F(EveryOption, has_portals) {
    const Portal portal{.users = {Uid{33}, Uid{34}},
                        .on_behalf = {{Uid{1000}, Uid{1999}}, {Uid{3000}, Uid{3000}}},
                        .targets = {*Prefix::parse("10.0.0.0/24")},
                        .peers = {*Prefix::parse("10.0.0.3")},
                        .domains = {"cluster.example.org"},
                        .group = Gid{100},
                        .ticket = std::chrono::seconds(5),
                        .source_ports = {40001, 40100, 40101},
                        .socket = "/p",
                        .forward = "/f"};
    EXPECT_EQ(config.portal, portal);
}

TEST_F(EveryOption, has_a_ruleset_a_mark_and_a_log) {
    EXPECT_EQ(config.listeners.keep.size(), 2u);
    EXPECT_FALSE(config.owners.bpf);
    EXPECT_FALSE(config.ruleset.stand_in);
    EXPECT_TRUE(config.ruleset.allow_without_daemon);
    EXPECT_TRUE(config.ruleset.keep_on_stop);
    EXPECT_EQ(config.mark.allow(), 0x02000000u);
    EXPECT_EQ(config.log.target, Config::Log::Target::stderr_);
}

TEST(Configuration, an_exception_names_both_users_the_port_and_the_place) {
    const auto config = parse_config("[policy]\nallow = [\"1001>1002 tcp/8786@10.0.0.2\", "
                                     "\"2000-2999>root 9000-9009\"]\n",
                                     "f");
    ASSERT_EQ(config.policy.exceptions.size(), 2u);
    const auto& [one, other] = std::tie(config.policy.exceptions[0], config.policy.exceptions[1]);
    EXPECT_EQ(one, (Exception{{Uid{1001}, Uid{1001}},
                              {Uid{1002}, Uid{1002}},
                              true,
                              false,
                              {8786, 8786},
                              Prefix::parse("10.0.0.2")}));
    EXPECT_EQ(other,
              (Exception{{Uid{2000}, Uid{2999}}, {Uid{0}, Uid{0}}, true, true, {9000, 9009}}));
    EXPECT_FALSE(decide_alike(config, parse_config("", "f")));
}

TEST(Configuration, observing_is_all_or_by_peers_interfaces_and_ports) {
    EXPECT_FALSE(parse_config("[policy]\nmode = \"enforce\"\n", "f").observed.any());
    const auto all = parse_config("[policy]\nmode = \"observe\"\n", "f");
    EXPECT_TRUE(all.observed.all);
    EXPECT_THAT(warnings(all).front(), HasSubstr("NOTHING IS REFUSED"));
    const auto some = parse_config("[policy]\nobserve_peers = [\"10.0.4.0/24\"]\n"
                                   "observe_interfaces = [\"ib*\"]\n"
                                   "observe_ports = [\"tcp/8888\"]\n",
                                   "f");
    EXPECT_TRUE(some.observed.any() && !some.observed.all);
    EXPECT_EQ(some.observed.peers.size(), 1u);
    EXPECT_EQ(some.observed.interfaces.size(), 1u);
    EXPECT_EQ(some.observed.ports.size(), 1u);
    EXPECT_FALSE(decide_alike(some, all));
}

TEST(Configuration, protocols_go_by_name_or_number) {
    const auto config = parse_config("[scope]\nprotocols = [\"vrrp\", 50, \"115\"]\n"
                                     "[fabric]\nprotocols = [\"gre\"]\n",
                                     "f");
    EXPECT_EQ(config.scope.protocols, (std::vector<std::uint8_t>{50, 112, 115}));
    EXPECT_EQ(config.fabric.protocols, std::vector<std::uint8_t>{47});
}

TEST(Configuration, interfaces_go_by_name_or_by_how_they_begin) {
    const auto some = parse_config("[scope]\ninterfaces = [\"lo\", \"eth*\"]\n", "f");
    EXPECT_TRUE(some.scope.interfaces.watches("eth12"));
    EXPECT_FALSE(some.scope.interfaces.watches("lo0"));
    const auto others = parse_config("[scope]\nexcept_interfaces = [\"virbr*\"]\n", "f");
    EXPECT_TRUE(others.scope.interfaces.watches("eth12"));
    EXPECT_FALSE(others.scope.interfaces.watches("virbr0"));
    EXPECT_TRUE(parse_config("", "f").scope.interfaces.watches("any"));
}

TEST(Configuration, peers_that_are_nobody_or_everybody_are_warned_of) {
    EXPECT_THAT(warnings(parse_config("", "f")), testing::Contains(HasSubstr("no peers")));
    for (const char* all : {"0.0.0.0/0", "::/0"})
        EXPECT_THAT(warnings(parse_config(fmt::format("[peers]\nranges = [\"{}\"]\n", all), "f")),
                    testing::ElementsAre(HasSubstr("the whole internet")));
    EXPECT_THAT(warnings(parse_config("[peers]\nranges = [\"10.0.0.0/8\"]\n", "f")),
                testing::IsEmpty());
}

TEST(Configuration, a_portal_whose_user_is_exempt_is_warned_of) {
    const auto of = [](std::string_view exempt) {
        return warnings(parse_config(fmt::format("[peers]\nranges = [\"10.0.0.0/8\"]\n[policy]\n"
                                                 "exempt_connectors = [{}]\n[portal]\n"
                                                 "users = [33]\n",
                                                 exempt),
                                     "f"));
    };
    EXPECT_THAT(of("\"30-40@10.0.0.1\""),
                testing::ElementsAre(HasSubstr("uid 33 is exempt and in portal.users")));
    EXPECT_THAT(of("34"), testing::IsEmpty());
}

TEST(Configuration, the_changes_that_need_a_restart_are_named) {
    const auto changed = [](std::string_view text) {
        return need_restart(parse_config("", "f"), parse_config(text, "f"));
    };
    EXPECT_THAT(changed("[queue]\ncount = 0\n[policy]\noutside = \"allow\"\n"), testing::IsEmpty());
    EXPECT_THAT(changed(R"(
[queue]
first = 1
count = 1
length = 100
[labels]
state_directory = "/d"
[owners]
bpf = false
recognise = false
[ident]
port = 1000
key_file = "/k"
[mark]
mask = 0x0e000000
[log]
target = "stderr"
fold_s = 5
[control]
socket = "/s"
)"),
                testing::ElementsAre("queue.first", "queue.count", "queue.length",
                                     "labels.state_directory", "owners.bpf", "owners.recognise",
                                     "ident.port", "mark.mask", "log.target", "log.fold_s",
                                     "control.socket"));
}

TEST(Configuration, help_names_every_default) {
    const auto text = describe_options();
    EXPECT_THAT(text, HasSubstr("deadline_ms = 900"));
    EXPECT_THAT(text, HasSubstr("[control]"));
}

TEST(Config, the_fabric_has_what_the_policy_has_and_no_more_than_it_may) {
    const auto config = parse_config("[policy]\n"
                                     "same_group = false\n"
                                     "exempt_listeners = [7]\n"
                                     "[fabric]\n"
                                     "reasons = [\"same-group\", \"same-label\"]\n"
                                     "exempt_listeners = [\"8-9\"]\n",
                                     "test.toml");
    const auto policy = config.fabric_policy();
    EXPECT_FALSE(policy.same_user);
    EXPECT_FALSE(policy.same_group);
    EXPECT_TRUE(policy.same_label);
    EXPECT_THAT(policy.exempt_listeners,
                testing::ElementsAre(Exemption{{Uid{7}, Uid{7}}}, Exemption{{Uid{8}, Uid{9}}}));
    EXPECT_TRUE(config.policy.same_user);
}

TEST(Config, the_fabrics_peers_are_all_peers_unless_it_has_its_own) {
    const std::string peers = "[peers]\nranges = [\"10.0.0.0/8\"]\n";
    EXPECT_THAT(parse_config(peers, "test.toml").fabric_peers(),
                testing::ElementsAre(*Prefix::parse("10.0.0.0/8")));
    EXPECT_THAT(
        parse_config(peers + "[fabric]\npeers = [\"11.0.0.0/8\"]\n", "test.toml").fabric_peers(),
        testing::ElementsAre(*Prefix::parse("11.0.0.0/8")));
}

TEST(Config, a_pkey_is_its_partition_whatever_its_membership) {
    const auto config =
        parse_config("[fabric]\npkeys = [\"0x8001\", 2, \"0x0003\"]\n", "test.toml");
    EXPECT_THAT(config.fabric.pkeys,
                testing::ElementsAre(pkey_label(0x8001), pkey_label(0x8002), pkey_label(0x8003)));
    for (const char* bad : {"0", "\"0x8000\"", "65536", "\"0x18001\"", "\"x\"", "\"*\"", "\"\""})
        EXPECT_THROW(parse_config(fmt::format("[fabric]\npkeys = [{}]\n", bad), "test.toml"),
                     ConfigError)
            << bad;
}

TEST(Config, a_management_range_that_does_not_fit_is_named_with_its_place) {
    for (const char* bad : {"\"10.1.0.0/16\" = \"10.2.0.0/24\"", "\"10.1.0.0/16\" = 3",
                            "\"10.1.0.1/16\" = \"10.2.0.0/16\"", "eth0 = \"10.2.0.0/16\""})
        try {
            parse_config(fmt::format("[fabric.management]\n{}\n", bad), "test.toml");
            ADD_FAILURE() << bad;
        } catch (const ConfigError& error) {
            EXPECT_THAT(error.what(), testing::StartsWith("test.toml:2:")) << bad;
            EXPECT_THAT(error.what(), testing::HasSubstr("fabric.management")) << bad;
        }
}

} // namespace
} // namespace ubf
