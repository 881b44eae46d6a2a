// Mistakes in a configuration: each is named with its place, and what to write.
#include "base/text.hpp"
#include "config/config.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

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

TEST(Configuration, an_unknown_key_is_refused_with_its_place_and_the_nearest_one) {
    const auto error = error_of("[queue]\nfirts = 1\n");
    EXPECT_THAT(error, StartsWith("f:2:1: "));
    EXPECT_THAT(error, HasSubstr("did you mean 'first'"));
    EXPECT_THAT(error_of("[quue]\n"), HasSubstr("did you mean [queue]"));
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

} // namespace
} // namespace ubf
