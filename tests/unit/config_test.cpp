#include "base/text.hpp"
#include "config/config.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <tuple>
#include <unistd.h>

namespace ubf {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string error_of(std::string_view text) {
    try {
        parse_config(text, "f");
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "good";
}

TEST(Configuration, an_empty_file_is_all_defaults) {
    const auto config = parse_config("", "f");
    EXPECT_EQ(config.queue.length, 16384u);
    EXPECT_EQ(config.ident.deadline.count(), 900);
    EXPECT_TRUE(config.policy.same_user);
    EXPECT_FALSE(config.policy.outside_allowed);
}

TEST(Configuration, every_option_is_set) {
    const auto config = parse_config(std::string(R"(
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
    EXPECT_FALSE(config.policy.same_group);
    EXPECT_TRUE(config.labels.slurm && config.labels.selinux && !config.labels.end_flows);
    EXPECT_EQ(config.labels.leftovers, Config::Labels::Leftovers::kill);
    EXPECT_EQ(config.listeners.keep.size(), 2u);
    EXPECT_FALSE(config.owners.bpf);
    ASSERT_EQ(config.labels.map.size(), 1u);
    const auto& mapping = config.labels.map[0];
    EXPECT_EQ(mapping.label, (Label{LabelOrigin::map, "teamx"}));
    EXPECT_EQ(mapping.users.size(), 3u);
    EXPECT_EQ(mapping.groups.size(), 1u);
    EXPECT_EQ(mapping.accounts, (std::vector<std::string>{"chem"}));
    EXPECT_EQ(mapping.partitions, (std::vector<std::string>{"gpu"}));
    EXPECT_EQ(config.policy.aliases.at({LabelOrigin::slurm, "physics"}), mapping.label);
    EXPECT_TRUE(config.policy.exempt_kernel.empty());
    EXPECT_TRUE(config.policy.outside_allowed);
    EXPECT_EQ(config.policy.exempt_listeners,
              (std::vector<Exemption>{
                  {{Uid{0}, Uid{0}}}, {{Uid{33}, Uid{33}}}, {{Uid{1000}, Uid{1999}}}}));
    EXPECT_EQ(config.policy.ignored_groups, (std::vector<Gid>{Gid{5}, Gid{100}}));
    const auto& rule = config.policy.labels.at({LabelOrigin::slurm, "physics"});
    EXPECT_EQ(rule.users.size(), 2u);
    EXPECT_EQ(rule.groups, std::vector<Gid>{Gid{100}});
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
    EXPECT_FALSE(config.ruleset.stand_in);
    EXPECT_TRUE(config.ruleset.allow_without_daemon);
    EXPECT_TRUE(config.ruleset.keep_on_stop);
    EXPECT_EQ(config.mark.allow(), 0x02000000u);
    EXPECT_EQ(config.log.target, Config::Log::Target::stderr_);
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

TEST(Configuration, an_unknown_key_is_refused_with_its_place_and_the_nearest_one) {
    const auto error = error_of("[queue]\nfirts = 1\n");
    EXPECT_THAT(error, StartsWith("f:2:1: "));
    EXPECT_THAT(error, HasSubstr("did you mean 'first'"));
    EXPECT_THAT(error_of("[quue]\n"), HasSubstr("did you mean [queue]"));
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

class DropIns : public testing::Test {
  protected:
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / fmt::format("ubf-drop-ins-{}", ::getpid());
    const std::filesystem::path file = folder / "ubfd.toml";

    DropIns() { std::filesystem::create_directories(folder / "ubfd.toml.d"); }
    ~DropIns() override { std::filesystem::remove_all(folder); }
    void write(const std::string& name, const std::string& text) {
        std::ofstream(folder / name) << text;
    }
    std::string error() {
        try {
            load_config(file);
        } catch (const ConfigError& mistake) {
            return mistake.what();
        }
        return "no error";
    }
};

TEST_F(DropIns, set_keys_anew_in_the_order_of_their_names_and_leave_the_others) {
    write("ubfd.toml", "[queue]\nfirst = 4\ncount = 2\n[scope]\nexempt_ports = [1, 2]\n");
    write("ubfd.toml.d/10-role.toml", "[queue]\nfirst = 8\n[policy]\nsame_group = false\n");
    write("ubfd.toml.d/20-site.toml", "[queue]\nfirst = 9\n[scope]\nexempt_ports = [3]\n");
    write("ubfd.toml.d/30-off.toml.bak", "nonsense");
    const auto config = load_config(file);
    EXPECT_EQ(config.queue.first, 9);
    EXPECT_EQ(config.queue.count, 2);
    EXPECT_FALSE(config.policy.same_group);
    ASSERT_EQ(config.scope.exempt_ports.size(), 1u);
    // The text stands for all of them.
    const auto again = parse_config(config.source.text, "f");
    EXPECT_EQ(again.queue.first, 9);
    EXPECT_EQ(again.queue.count, 2);
    EXPECT_TRUE(need_restart(config, again).empty() && decide_alike(config, again));
    const auto where = [&](std::string_view key) {
        for (const auto& setting : all_settings(config))
            if (setting.key == key)
                return setting.value + " " + setting.where;
        return std::string("no such key");
    };
    EXPECT_EQ(where("first"),
              fmt::format("9 {}:2", (folder / "ubfd.toml.d/20-site.toml").string()));
    EXPECT_EQ(where("count"), fmt::format("2 {}:3", file.string()));
    EXPECT_EQ(where("length"), "16384 ");
}

TEST_F(DropIns, have_their_own_names_in_errors) {
    write("ubfd.toml", "[queue]\nfirst = 4\n");
    write("ubfd.toml.d/role.toml", "\n[queue]\nfrist = 8\n");
    EXPECT_THAT(error(), HasSubstr("role.toml:3:1: [queue] has no key 'frist'"));
    write("ubfd.toml.d/role.toml", "\n[queue]\nfirst = -8\n");
    EXPECT_THAT(error(), HasSubstr("role.toml:3:9: queue.first"));
    write("ubfd.toml.d/role.toml", "\n[queue\n");
    EXPECT_THAT(error(), HasSubstr("role.toml:2:"));
    std::filesystem::remove(folder / "ubfd.toml.d/role.toml");
    std::filesystem::create_directory(folder / "ubfd.toml.d/role.toml");
    EXPECT_THAT(error(), HasSubstr("role.toml: can't be read"));
}

TEST_F(DropIns, have_their_own_names_where_keys_contradict_each_other_and_of_unknown_names) {
    write("ubfd.toml", "[peers]\nranges = [\"10.0.0.0/24\"]\n");
    const std::pair<const char*, const char*> mistakes[] = {
        {"\n\n[queue]\ncount = 2\nfirst = 65535\n", "role.toml:5:9: queue.first 65535 and"},
        {"\n[peers]\nunready = [\"10.1.0.1\"]\n", "role.toml:3:11: peers.unready: 10.1.0.1"},
        {"\n[policy]\nrequire_label = true\n", "role.toml:3:17: policy.require_label: nothing"},
        {"[labels.map]\nchem = [\"account:chem\"]\n", "role.toml:1:1: labels.map: accounts"},
        {"\n[ident]\nrequire_certificates = true\n", "role.toml:3:24: ident.require_cert"},
        {"[control]\nsocket = \"/run/a\"\nuser_socket = \"/run/./a\"\n",
         "role.toml:3:15: control.user_socket: /run/a is another socket of ubf already"},
        {"[control]\nsocket = \"/run/portal.sock\"\n", "role.toml:2:10: control.socket: /run/po"},
        {"[portal]\nsocket = \"/run/ubf/user.sock\"\n", "role.toml:2:10: portal.socket: /run/u"},
        {"\n[identity]\nroster = \"/r\"\n", "role.toml:3:10: identity.key: not set"},
        {"\n[identity]\nkey = \"/k\"\n", "role.toml:3:7: identity.key: set, but not"},
    };
    for (const auto& [text, said] : mistakes) {
        write("ubfd.toml.d/role.toml", text);
        EXPECT_THAT(error(), HasSubstr(said));
    }
    write("ubfd.toml.d/role.toml", "\n\n[policy]\nexempt_listeners = [\"nobody-at-all\"]\n"
                                   "[ident]\npush = true\n");
    const auto config = load_config(file, Names::look_up_or_list);
    EXPECT_THAT(config.unknown.names, ElementsAre(HasSubstr("role.toml:4: policy.exempt_li")));
    EXPECT_THAT(config.source.retired, ElementsAre(HasSubstr("take line 6 of " + folder.string() +
                                                             "/ubfd.toml.d/role.toml out")));
}

TEST(Configuration, protocols_go_by_name_or_number) {
    const auto config = parse_config("[scope]\nprotocols = [\"vrrp\", 50, \"115\"]\n"
                                     "[fabric]\nprotocols = [\"gre\"]\n",
                                     "f");
    EXPECT_EQ(config.scope.protocols, (std::vector<std::uint8_t>{50, 112, 115}));
    EXPECT_EQ(config.fabric.protocols, std::vector<std::uint8_t>{47});
}

struct BadLine {
    const char* text;
    const char* says;
};

// Names the test.
void PrintTo(const BadLine& line, std::ostream* out) {
    for (const char c : std::string_view(line.text))
        *out << (c == '\n' ? ' ' : c);
}

class BadConfiguration : public testing::TestWithParam<BadLine> {};

TEST_P(BadConfiguration, is_refused_with_file_line_and_column) {
    const auto error = error_of(GetParam().text);
    EXPECT_THAT(error, testing::ContainsRegex("^f:[0-9]+:[0-9]+: "));
    EXPECT_THAT(error, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfiguration,
    testing::Values(
        BadLine{"[queue\n", "syntax"}, BadLine{"queue = 1\n", "is a section"},
        BadLine{"[queue]\nfirst = \"1\"\n", "whole number"},
        BadLine{"[queue]\nfirst = 65536\n", "from 0 to 65535"},
        BadLine{"[queue]\nfirst = 65535\ncount = 4\n", "run past"},
        BadLine{"[queue]\nlength = 0\n", "from 16"},
        BadLine{"[scope]\nports = [\"3000-2000\"]\n", "not a port"},
        BadLine{"[scope]\nports = [\"2000-3000\", 2500]\n", "overlaps"},
        BadLine{"[scope]\nports = 80\n", "not a list"},
        BadLine{"[scope]\nexempt_ports = [\"sctp/80\"]\n", "not a port"},
        BadLine{"[scope]\nexempt_ports = [80, \"tcp/80\"]\n", "overlaps"},
        BadLine{"[scope]\nprotocols = [\"esq\"]\n", "one of \"icmp\""},
        BadLine{"[scope]\nprotocols = [256]\n", "not a protocol"},
        BadLine{"[scope]\nprotocols = [\"esp\", 50]\n", "twice"},
        BadLine{"[limits]\nnew_connections = \"100\"\n", "neither \"off\" nor"},
        BadLine{"[limits]\nnew_connections = \"0/s burst 1\"\n", "neither \"off\" nor"},
        BadLine{"[limits]\nnew_connections = \"1/s burst 1x\"\n", "neither \"off\" nor"},
        BadLine{"[limits]\nusers = [\"1000-2000\", 1500]\n", "overlaps"},
        BadLine{"[limits]\naction = \"drop\"\n", "delay"},
        BadLine{"[scope]\noutbound_deny = [\"eth*\", \"eth1\"]\n", "overlaps"},
        BadLine{"[scope]\nprotocols = [\"tcp\"]\n", "exempt_ports"},
        BadLine{"[fabric]\nprotocols = [58]\n", "without being named"},
        BadLine{"[scope]\ninterfaces = [\"a/b\"]\n", "not the name of an interface"},
        BadLine{"[scope]\ninterfaces = [\"lo\", \"lo\"]\n", "twice"},
        BadLine{"[scope]\ninterfaces = [\"*\"]\n", "not the name"},
        BadLine{"[scope]\ninterfaces = [\"e*h\"]\n", "not the name"},
        BadLine{"[scope]\ninterfaces = [\"eth0\", \"eth*\"]\n", "overlaps"},
        BadLine{"[scope]\ninterfaces = [\"lo\"]\nexcept_interfaces = [\"a\"]\n", "either"},
        BadLine{"[peers]\nranges = [\"10.0.0.1/16\"]\n", "not a range of addresses"},
        BadLine{"[peers]\nranges = [\"10.0.0.0/8\", \"10.1.0.0/16\"]\n", "overlaps"},
        BadLine{"[policy]\nsame_user = 1\n", "true or false"},
        BadLine{"[policy]\noutside = \"maybe\"\n", "one of \"deny\", \"allow\""},
        BadLine{"[policy]\nexempt_listeners = [\"nobody-of-that-name\"]\n", "no user"},
        BadLine{"[policy]\nallow = [\"1001>1002\"]\n", "is no exception"},
        BadLine{"[policy]\nallow = [\"1001 tcp/1\"]\n", "is no exception"},
        BadLine{"[policy]\nallow = [\">1002 tcp/1\"]\n", "is no exception"},
        BadLine{"[policy]\nallow = [\"1001> tcp/1\"]\n", "is no exception"},
        BadLine{"[policy]\nallow = [\"1001>1002 icmp/1\"]\n", "is no exception"},
        BadLine{"[policy]\nallow = [\"1001>1002 tcp/1@nowhere\"]\n", "no address"},
        BadLine{"[policy]\nmode = \"watch\"\n", "observe"},
        BadLine{"[policy]\nexempt_listeners = [\"2000-1000\"]\n", "the lower one first"},
        BadLine{"[policy]\nexempt_listeners = [\"1000-2000\", 1500]\n", "overlaps"},
        BadLine{"[policy]\nexempt_listeners = [4294967295]\n", "not a range of uids"},
        BadLine{"[policy]\nignored_groups = [\"no-such-group\"]\n", "no group"},
        BadLine{"[policy.labels.\"physics\"]\nallow = []\n", "write its origin first"},
        BadLine{"[policy.labels.\"map:x\"]\ndeny = []\n", "exactly one key"},
        BadLine{"[policy.labels.\"slurm:a b\"]\nallow = []\n", "without blanks"},
        BadLine{"[policy]\nrequire_label = true\n", "nothing gives labels"},
        BadLine{"[labels.map]\nx = [\"account:\"]\n", "names nothing"},
        BadLine{"[labels.map]\nx = [\"account:a\"]\n", "turn on labels.slurm"},
        BadLine{"[labels.map]\nx = \"alice\"\n", "not a list"},
        BadLine{"[labels]\nmap = 5\n", "not a table"},
        BadLine{"[labels.aliases]\n\"slurm:a\" = \"map:b\"\n\"map:b\" = \"map:c\"\n",
                "itself an alias"},
        BadLine{"[labels.aliases]\n\"slurm:a\" = 5\n", "not a text"},
        BadLine{"[ident]\ndeadline_ms = 1000\n", "from 10 to 999"},
        BadLine{"[ident]\nrequire_certificates = true\n", "no key of its own"},
        BadLine{"[identity]\nkey = \"/n\"\n", "identity.certificate and"},
        BadLine{"[identity]\nroster = \"/r\"\n", "has no effect"},
        BadLine{"[identity]\nauthorities = [\"ubf-authority-1 00\"]\n", "not an authority"},
        BadLine{"[identity]\nclasses = 5\n", "not a table"},
        BadLine{"[identity.classes.\"A b\"]\nusers = []\n", "not a class"},
        BadLine{"[identity.classes.compute]\nuser = []\n", "a class has users"},
        BadLine{"[identity.classes.compute]\nusers = [\"2000-1000\"]\n", "the lower one first"},
        BadLine{"[identity.classes.compute]\nvouch = \"all\"\n", "one of \"any\""},
        BadLine{"[ident]\nport = 1024\n", "from 1 to 1023"},
        BadLine{"[ident]\nkey_file = \"\"\n", "not a text"},
        BadLine{"[mark]\nmask = 0x5\n", "three adjacent bits"},
        BadLine{"[mark]\nmask = 0xf\n", "three adjacent bits"},
        BadLine{"[log]\nfold_s = 0\n", "from 1"},
        BadLine{"[portal]\nusers = [\"33-34\"]\n", "write each user"},
        BadLine{"[portal]\nusers = [\"root\"]\n", "no user for a portal"},
        BadLine{"[portal]\nusers = [33, 33]\n", "twice"},
        BadLine{"[portal]\nusers = [\"nobody-of-that-name\"]\n", "no user"},
        BadLine{"[portal]\nfor = [\"0-1000\"]\n", "root is among them"},
        BadLine{"[portal]\nfor = [\"1000-2000\", 1500]\n", "overlaps"},
        BadLine{"[portal]\ntargets = [\"10.0.0.1/16\"]\n", "not a range of addresses"},
        BadLine{"[portal]\npeers = [\"node7\"]\n", "not a range of addresses"},
        BadLine{"[portal]\ndomains = [\"a..b\"]\n", "not the end of a name"},
        BadLine{"[portal]\ndomains = [\"a/b\"]\n", "not the end of a name"},
        BadLine{"[portal]\ngroup = \"no-such-group\"\n", "no group"},
        BadLine{"[portal]\nticket_s = 0\n", "from 1 to 60"},
        BadLine{"[portal]\nticket_s = 61\n", "from 1 to 60"},
        BadLine{"[portal]\nsource_ports = [\"0-9\"]\n", "no port"},
        BadLine{"[portal]\nsource_ports = [\"1024-65535\"]\n", "more than 4096"},
        BadLine{"[portal]\nforward = 5\n", "not a text"}));

TEST(Configuration, all_mistakes_are_named_in_one_round_in_the_order_of_their_lines) {
    EXPECT_EQ(error_of("[scope]\n"
                       "ports = [\"x\", 80, 80, \"y\"]\n"
                       "prots = []\n"
                       "[labels.map]\n"
                       "\"a b\" = []\n"
                       "[log]\n"
                       "fold_s = 0\n"
                       "[logg]\n")
                  .substr(0, 40),
              "f:2:10: scope.ports: 'x' is not a port o");
    const auto error =
        error_of("[scope]\nports = [\"x\", 80, 80, \"y\"]\nprots = []\n[labels.map]\n"
                 "\"a b\" = []\n[log]\nfold_s = 0\n[logg]\n");
    std::vector<std::string> places;
    for (std::string_view rest = error; !rest.empty();) {
        const auto line = split(rest, '\n');
        places.emplace_back(line.substr(0, line.find(": ")));
    }
    EXPECT_THAT(places, testing::ElementsAre("f:2:10", "f:2:23", "f:2:19", "f:3:1", "f:5:1",
                                             "f:7:10", "f:8:2"));
}

TEST(Configuration, of_very_many_mistakes_the_first_are_named) {
    std::string text = "[scope]\nports = [";
    for (int i = 0; i < 1000; ++i)
        text += "\"x\",\n";
    const auto error = error_of(text + "]\n");
    EXPECT_EQ(std::ranges::count(error, '\n'), 20);
    EXPECT_THAT(error, testing::EndsWith("and 980 more"));
}

TEST(Configuration, a_key_outside_all_sections_is_told_where_it_belongs) {
    EXPECT_THAT(error_of("ranges = [\"10.0.0.0/8\"]\n"), HasSubstr("write it below [peers]"));
    EXPECT_THAT(error_of("rangos = []\n"), HasSubstr("none has it"));
}

TEST(Configuration, a_retired_setting_is_passed_over_with_a_warning) {
    const auto config = parse_config("[peers]\nranges = [\"10.0.0.0/8\"]\n[ident]\npush = false\n"
                                     "push_group = 1018\n",
                                     "f");
    EXPECT_THAT(
        warnings(config),
        testing::ElementsAre("ident.push does nothing any more; take line 4 of f out",
                             "ident.push_group does nothing any more; take line 5 of f out"));
    EXPECT_THAT(error_of("[queue]\npush = 1\n"), HasSubstr("no key 'push'"));
}

TEST(Configuration, long_lists_of_users_are_read_and_overlaps_in_them_found) {
    std::string text = "[policy]\nexempt_listeners = [";
    for (int i = 200'000; i > 0; --i)
        text += fmt::format("{},\n", 1000 + 2 * i);
    const auto config = parse_config(text + "]\n", "f");
    ASSERT_EQ(config.policy.exempt_listeners.size(), 200'000u);
    EXPECT_EQ(config.policy.exempt_listeners.front().users.first, Uid{1002});
    EXPECT_THAT(
        error_of(text + "5000]\n"),
        testing::AllOf(StartsWith("f:200002:1"), HasSubstr("5000-5000 overlaps 5000-5000")));
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

TEST(Configuration, a_file_without_an_end_is_refused) {
    EXPECT_THROW(load_config("/dev/zero"), ConfigError);
}

TEST(Configuration, a_file_that_is_not_there_is_named) {
    EXPECT_THROW(
        {
            try {
                load_config("/no/such/file");
            } catch (const ConfigError& error) {
                EXPECT_THAT(error.what(), HasSubstr("/no/such/file"));
                throw;
            }
        },
        ConfigError);
    EXPECT_THROW(load_config("/tmp"), ConfigError);
}

TEST(Configuration, any_bytes_end_in_a_configuration_or_in_its_own_error) {
    const std::string base =
        "[policy]\nexempt_listeners = [\"root\", \"1-2\"]\n[queue]\nfirst = 1\n";
    std::mt19937 random(1);
    for (int i = 0; i < 5000; ++i) {
        auto text = base;
        for (int j = 0; j < 4; ++j)
            text[random() % text.size()] = static_cast<char>(random());
        static_cast<void>(error_of(text)); // anything else that is thrown fails the test
    }
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
