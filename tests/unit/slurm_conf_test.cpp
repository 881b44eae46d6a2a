#include "slurm/conf.hpp"
#include "slurm/hostlist.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ubf::slurm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Parsed parse(const std::string& text, const std::map<std::string, std::string>& files = {}) {
    return parse_conf(text, "/etc/slurm/slurm.conf", [&](const std::string& file) {
        const auto found = files.find(file);
        return found == files.end() ? std::nullopt : std::optional(found->second);
    });
}

Conf good(const std::string& text, const std::map<std::string, std::string>& files = {}) {
    auto parsed = parse(text, files);
    for (const auto& mistake : parsed.mistakes)
        ADD_FAILURE() << to_string(mistake);
    return parsed.conf;
}

// The one mistake.
std::string bad(const std::string& text, const std::map<std::string, std::string>& files = {}) {
    const auto parsed = parse(text, files);
    return parsed.mistakes.size() == 1 ? to_string(parsed.mistakes.front())
                                       : std::to_string(parsed.mistakes.size()) + " mistakes";
}

const std::string control = "SlurmctldHost=head\n";

// Each was compared with `scontrol show hostnames` of Slurm 22.05.
TEST(SlurmHostlist, expands_as_scontrol_does) {
    EXPECT_THAT(*expand("n[1-4,7]"), ElementsAre("n1", "n2", "n3", "n4", "n7"));
    EXPECT_THAT(*expand("n[01-03]"), ElementsAre("n01", "n02", "n03"));
    EXPECT_THAT(*expand("n[9-11]"), ElementsAre("n9", "n10", "n11"));
    EXPECT_THAT(*expand("a[1-2]b[3-4]"), ElementsAre("a1b3", "a1b4", "a2b3", "a2b4"));
    EXPECT_THAT(*expand("n1, n2 m3,"), ElementsAre("n1", "n2", "m3"));
    EXPECT_THAT(*expand("n[01-1]"), ElementsAre("n01"));
    EXPECT_THAT(*expand(""), IsEmpty());
}

TEST(SlurmHostlist, refuses_what_scontrol_refuses) {
    for (const char* text : {"n[3-1]", "n[1-", "n[a-b]", "n[]", "n[1,,2]", "a[1-2]-ib", "n[-3]",
                             "n[1-70000]", "n]1", "n[1-300]m[1-300]", "n[99999999999]"})
        EXPECT_FALSE(expand(text)) << text;
    EXPECT_THAT(expand("n[3-1]").error(), "'3-1' ends before it begins");
}

TEST(SlurmConf, has_the_defaults_of_slurm) {
    const auto conf = good("SlurmctldHost=head\nNodeName=n1\n");
    EXPECT_THAT(conf.controllers, ElementsAre(Host{"head", "head"}));
    EXPECT_THAT(conf.nodes, ElementsAre(Host{"n1", "n1"}));
    EXPECT_EQ(conf.controller_ports, (PortRange{6817, 6817}));
    EXPECT_THAT(conf.node_ports, ElementsAre(PortRange{6818, 6818}));
    EXPECT_THAT(conf.databases, IsEmpty());
    EXPECT_FALSE(conf.srun_ports);
    EXPECT_EQ(conf.user, "root");
    EXPECT_THAT(conf.warnings, ElementsAre(HasSubstr("no SrunPortRange")));
}

TEST(SlurmConf, is_read_as_people_write_it) {
    const auto conf = good(R"(# The cluster
clustername = lab # of all
   SLURMUSER=slurm
SlurmctldHost=head1(10.0.0.1)
SlurmctldHost=head2(10.0.0.2)
SlurmctldPort=6820-6823
SrunPortRange = "60001-63000"
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=db1
AccountingStorageBackupHost=db2
AccountingStoragePort=7031
NodeName=DEFAULT Port=7000
nodename=n[1-2] NodeAddr=10.0.1.[1-2] \
    CPUs=4 \
    State=UNKNOWN
NodeName=m[1-3] NodeHostname=big Port=[17001-17003]
PartitionName=p Nodes=n[1-2] PrologFlags=a\#b
)");
    EXPECT_THAT(conf.controllers,
                ElementsAre(Host{"head1", "10.0.0.1"}, Host{"head2", "10.0.0.2"}));
    EXPECT_THAT(conf.databases, ElementsAre(Host{"db1", "db1"}, Host{"db2", "db2"}));
    EXPECT_THAT(conf.nodes, ElementsAre(Host{"n1", "10.0.1.1"}, Host{"n2", "10.0.1.2"},
                                        Host{"m1", "big"}, Host{"m2", "big"}, Host{"m3", "big"}));
    EXPECT_THAT(conf.node_ports, ElementsAre(PortRange{7000, 7000}, PortRange{17001, 17003}));
    EXPECT_EQ(conf.controller_ports, (PortRange{6820, 6823}));
    EXPECT_EQ(conf.database_port, 7031);
    EXPECT_EQ(conf.srun_ports, (PortRange{60001, 63000}));
    EXPECT_EQ(conf.user, "slurm");
    EXPECT_THAT(conf.warnings, IsEmpty());
}

TEST(SlurmConf, includes_files) {
    const auto conf = good("ClusterName=Lab\nInclude %c/nodes.conf\nINCLUDE /srv/ports.conf\n",
                           {{"/etc/slurm/lab/nodes.conf", control + "NodeName=n1\n"},
                            {"/srv/ports.conf", "SlurmdPort=7001"}});
    EXPECT_THAT(conf.node_ports, ElementsAre(PortRange{7001, 7001}));
    EXPECT_EQ(conf.nodes.size(), 1u);
}

TEST(SlurmConf, of_before_18_08_names_its_controllers_in_another_way) {
    const auto conf =
        good("ControlMachine=a\nControlAddr=10.0.0.1\nBackupController=b\nNodeName=n1\n");
    EXPECT_THAT(conf.controllers, ElementsAre(Host{"a", "10.0.0.1"}, Host{"b", "b"}));
}

TEST(SlurmConf, the_last_of_two_values_holds) {
    EXPECT_THAT(good(control + "SlurmdPort=1\nSlurmdPort=2\n").node_ports,
                ElementsAre(PortRange{2, 2}));
}

TEST(SlurmConf, mistakes_have_file_and_line) {
    const std::string file = "/etc/slurm/slurm.conf:";
    EXPECT_THAT(bad(control + "NodeName=n[1-"), HasSubstr(file + "2: NodeName: 'n[1-' has a '['"));
    EXPECT_THAT(bad(control + "\n\nSlurmdPort=abc"), HasSubstr(file + "4: SlurmdPort=abc is no"));
    EXPECT_THAT(bad(control + "SlurmdPort=1-2"), HasSubstr(file + "2: SlurmdPort is one port"));
    EXPECT_THAT(bad(control + "SrunPortRange=9-8"), HasSubstr(file + "2: SrunPortRange=9-8"));
    EXPECT_THAT(bad(control + "SlurmctldPort=70000"), HasSubstr(file + "2: SlurmctldPort=70000"));
    EXPECT_THAT(bad(control + "a=1 \\\n b=2\nbroken"), HasSubstr(file + "4: 'broken' is no KEY"));
    EXPECT_THAT(bad(control + "NodeName=n[1-3] NodeAddr=a[1-2]"),
                HasSubstr(file + "2: NodeAddr has 2 names for 3 nodes"));
    EXPECT_THAT(bad(control + "NodeName=n1 Port=x"), HasSubstr(file + "2: Port=x: x is no port"));
    EXPECT_THAT(bad(control + "NodeName=n[1-3] Port=[7-8]"),
                HasSubstr(file + "2: Port=[7-8] has 2 ports for 3 nodes"));
    EXPECT_THAT(bad(control + "Include gone.conf"),
                HasSubstr(file + "2: Include /etc/slurm/gone.conf: can't be read"));
    EXPECT_THAT(bad(control + "Include b", {{"/etc/slurm/b", "\nNodeName=n[2-1]"}}),
                HasSubstr("/etc/slurm/b:2: NodeName: '2-1'"));
    EXPECT_THAT(bad(control + "Include b", {{"/etc/slurm/b", "Include b"}}),
                HasSubstr("/etc/slurm/b:1: Include /etc/slurm/b: too many files"));
    EXPECT_THAT(bad(control + "SlurmctldHost=a("), HasSubstr(file + "2: SlurmctldHost=a("));
    EXPECT_THAT(bad(control + "a=1 SlurmdPort=2"), HasSubstr(file + "2: 'slurmdport' stands beh"));
    EXPECT_THAT(bad("NodeName=n1"), HasSubstr("/etc/slurm/slurm.conf: no SlurmctldHost"));
}

} // namespace
} // namespace ubf::slurm
