// The checks of `ubfctl doctor` are functions of facts: a healthy node in memory, and its faults.
#include "daemon/ubfctl/doctor/check.hpp"
#include "daemon/ubfctl/doctor/parse.hpp"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace ubf::ctl::doctor {
namespace {

using Names = std::vector<std::string>;

Facts healthy() {
    Facts facts;
    auto& ubf = facts.ubf;
    ubf.config = Config{};
    ubf.config->labels.slurm = true;
    ubf.key.open = false;
    ubf.status = Json{
        {"version", "1"}, {"queues", Json::array({Json{{"number", 0}}})}, {"peers", Json::array()}};
    ubf.queues = {0};
    ubf.table = true;
    ubf.systemd = true;
    ubf.enabled = {"ubfd.service", "ubf-ruleset.service"};
    ubf.selinux_enforcing = true;
    ubf.domain = "ubfd_t";
    ubf.jobs = Strings{"7"};
    facts.beside.disturbing = facts.beside.refusing = facts.beside.translating = Strings{};
    facts.beside.firewalld = facts.beside.firewalld_knows_ident = true;
    facts.beside.ident_port_owner = Uid{0};
    auto& node = facts.node;
    node.proc_options = "rw,hidepid=2";
    node.user_namespaces = 0;
    node.verbs = {"/dev/infiniband/uverbs0"};
    node.most_neighbours = node.most_neighbours6 = 4096;
    node.tracked = 10;
    node.most_tracked = 100;
    node.ephemeral = {32768, 60999};
    auto& slurm = facts.slurm;
    slurm.there = slurm.slurmd = slurm.ca_readable = true;
    slurm.conf =
        SlurmConf("MCSPlugin=mcs/group\nProctrackType=proctrack/cgroup\nPrologFlags=contain\n"
                  "PrivateData=accounts,jobs,reservations,usage,users TLSType=tls/s2n\n"
                  "CommunicationParameters=block_null_hash,NoInAddrAny,NoCtldInAddrAny\n"
                  "SrunPortRange=61001-61100\nSlurmctldParameters=rl_enable,rl_log_freq=1\n"
                  "JobContainerType=job_container/tmpfs\nNodeName=n[001-900]\n",
                  "slurm.conf", [](const std::string&) { return std::nullopt; });
    slurm.version = std::pair(25U, 5U);
    slurm.containers = SlurmConf();
    slurm.prologs = slurm.epilogs = {{"/etc/slurm/prolog.d/50-ubf", true, true}};
    slurm.running = Strings{"7"};
    facts.ssh = {true, "yes", std::vector<PamLine>{{"account", "required", "pam_slurm_adopt.so"}}};
    return facts;
}

Names in_state(const Facts& facts, State state) {
    Names names;
    for (const auto& check : checks())
        if (check.judge(facts).state == state)
            names.emplace_back(check.id);
    return names;
}

TEST(Doctor, a_healthy_node_is_all_ok) {
    EXPECT_EQ(in_state(healthy(), State::off), Names{});
    EXPECT_EQ(in_state(healthy(), State::not_applicable), Names{});
}

TEST(Doctor, each_check_has_an_id_of_its_own_and_says_what_it_is_for) {
    std::set<std::string_view> ids;
    for (const auto& check : checks()) {
        EXPECT_TRUE(ids.insert(check.id).second) << check.id;
        EXPECT_FALSE(check.closes.empty() || check.open.empty()) << check.id;
    }
}

TEST(Doctor, nothing_that_could_not_be_read_is_judged) {
    // Without any fact, these alone are certain.
    const Names certain{"ubf.config", "ubf.daemon", "proc.hidepid"};
    EXPECT_EQ(in_state(Facts{}, State::off), certain);
}

TEST(Doctor, no_cluster_key_is_missed_where_certificates_are_required) {
    auto facts = healthy();
    facts.ubf.key.counts = false;
    facts.ubf.key.mistake = "no key";
    EXPECT_EQ(in_state(facts, State::not_applicable), Names{"ubf.key"});
    facts.ubf.key.open = true; // it may count elsewhere
    EXPECT_EQ(in_state(facts, State::off), Names{"ubf.key"});
}

TEST(Doctor, slurms_lines_do_not_apply_without_slurm) {
    auto facts = healthy();
    facts.slurm = {};
    for (const auto& name : in_state(facts, State::not_applicable))
        EXPECT_TRUE(name.starts_with("slurm.") || name == "tmp.private" ||
                    name.starts_with("adopt."))
            << name;
    EXPECT_EQ(in_state(facts, State::not_applicable).size(), 17U);
}

struct Fault {
    const char* id;
    std::function<void(Facts&)> make;
};

SlurmConf conf_of(const std::string& line) {
    return SlurmConf(line, "slurm.conf", [](const std::string&) { return std::nullopt; });
}

const std::vector<Fault> faults{
    {"ubf.key", [](Facts& f) { f.ubf.key.open = true; }},
    {"ubf.key", [](Facts& f) { f.ubf.key.mistake = "no key"; }},
    {"ubf.loaded",
     [](Facts& f) {
         (*f.ubf.status)["configuration"] = Json{{"holds", false}};
     }},
    {"ubf.ruleset", [](Facts& f) { f.ubf.table = false; }},
    {"ubf.queues", [](Facts& f) { f.ubf.queues = {1}; }},
    {"ubf.enforce", [](Facts& f) { f.ubf.config->observed.all = true; }},
    {"ubf.fail_closed", [](Facts& f) { f.ubf.config->ruleset.allow_without_daemon = true; }},
    {"ubf.units", [](Facts& f) { f.ubf.enabled = {"ubfd.service"}; }},
    {"ubf.selinux", [](Facts& f) { f.ubf.domain = "unconfined_service_t"; }},
    {"peers.versions", [](Facts& f) { (*f.ubf.status)["ident"]["rejected"]["other-version"] = 3; }},
    {"peers.keys", [](Facts& f) { (*f.ubf.status)["ident"]["rejected"]["wrong-key"] = 3; }},
    {"peers.clocks",
     [](Facts& f) {
         (*f.ubf.status)["peers"].push_back({{"clock_ahead_ms", -40000}});
     }},
    {"peers.answer", [](Facts& f) { (*f.ubf.status)["peers_silent"] = 1; }},
    {"peers.ranges",
     [](Facts& f) {
         f.beside.addresses = {{*Address::parse("10.0.0.1"), "eth0"}};
     }},
    {"net.legacy", [](Facts& f) { f.beside.legacy = {"iptables-legacy has tables"}; }},
    {"net.firewalld", [](Facts& f) { f.beside.firewalld_knows_ident = false; }},
    {"net.ident_port", [](Facts& f) { f.beside.ident_port_owner.reset(); }},
    {"kernel.refusals", [](Facts& f) { f.node.refusals_limited = true; }},
    {"kernel.neighbours", [](Facts& f) { f.node.most_neighbours6 = 1024; }},
    {"kernel.conntrack", [](Facts& f) { f.node.tracked = 90; }},
    {"rdma.devices", [](Facts& f) { f.ubf.config->fabric.rdma = Config::Fabric::Rdma::off; }},
    {"ns.users", [](Facts& f) { f.node.user_namespaces = 1; }},
    {"net.raw", [](Facts& f) { f.node.raw = {"/usr/bin/dumpcap"}; }},
    {"proc.hidepid", [](Facts& f) { f.node.fstab_proc = "hidpid=1"; }},
    {"proc.hidepid", [](Facts& f) { f.node.proc_options = "rw,relatime"; }},
    {"slurm.registered", [](Facts& f) { f.ubf.jobs = Strings{}; }},
    {"slurm.prolog", [](Facts& f) { f.slurm.prologs.clear(); }},
    {"slurm.epilog", [](Facts& f) { f.slurm.epilogs.front().runs = false; }},
    {"slurm.tls", [](Facts& f) { f.slurm.ca_readable = false; }},
    {"slurm.inaddr_any",
     [](Facts& f) {
         f.beside.listeners = {{Protocol::tcp, {Address(), 6818}, Uid{0}}};
     }},
    {"slurm.srunports",
     [](Facts& f) {
         f.node.ephemeral = {1024, 65535};
     }},
    {"slurm.privatedata", [](Facts& f) { f.slurm.dbd = conf_of("PrivateData=users\n"); }},
    {"tmp.private", [](Facts& f) { f.slurm.containers = conf_of("BasePath=/x Dirs=/tmp\n"); }},
    {"adopt.pam", [](Facts& f) { f.ssh.pam->front().control = "optional"; }},
    {"adopt.systemd",
     [](Facts& f) {
         f.ssh.pam->push_back({"session", "optional", "pam_systemd.so"});
     }},
    {"adopt.usepam", [](Facts& f) { f.ssh.use_pam.clear(); }},
};

TEST(Doctor, each_fault_turns_its_own_line) {
    for (const auto& [id, make] : faults) {
        auto facts = healthy();
        make(facts);
        EXPECT_EQ(in_state(facts, State::off), Names{id});
    }
}

TEST(Doctor, what_is_off_says_what_to_write_and_where) {
    Facts facts;
    facts.slurm.there = facts.slurm.slurmd = facts.ssh.there = true;
    facts.ssh.pam.emplace();
    facts.slurm.file = "slurm.conf";
    facts.ubf.file = "ubfd.toml";
    facts.ubf.mistake = "there is none";
    std::size_t seen = 0;
    for (const auto& check : checks()) {
        const auto finding = check.judge(facts);
        if (finding.state != State::off)
            continue;
        ++seen;
        EXPECT_FALSE(finding.seen.empty() || finding.write.empty() || finding.where.empty())
            << check.id;
    }
    EXPECT_GT(seen, 12U);
}

TEST(Doctor, a_script_that_only_mentions_ubf_tells_of_no_job) {
    EXPECT_FALSE(tells_of_jobs("#!/bin/sh\n# was /etc/slurm/prolog.d/10-site\n", "prolog"));
    EXPECT_FALSE(tells_of_jobs("#!/bin/sh\n#ubfctl job end\n", "epilog"));
    EXPECT_FALSE(tells_of_jobs("run-parts /etc/slurm/prolog.d\n", "prolog"));
    EXPECT_FALSE(tells_of_jobs("/usr/libexec/ubf/slurm/prolog\n", "epilog"));
    EXPECT_FALSE(tells_of_jobs("ubfctl job begin\n", "epilog"));
    EXPECT_FALSE(tells_of_jobs("ubfctl status\n", "prolog"));
    EXPECT_TRUE(tells_of_jobs("ubfctl job begin \"$@\" 2>&1 | logger\n", "prolog"));
    EXPECT_TRUE(tells_of_jobs("CTL=/usr/bin/ubfctl\n\"$CTL\" job end\n", "epilog"));
    EXPECT_TRUE(tells_of_jobs("if ! /usr/libexec/ubf/slurm/prolog; then :; fi # why\n", "prolog"));
}

Finding finding(const char* id, const Facts& facts) {
    for (const auto& check : checks())
        if (check.id == id)
            return check.judge(facts);
    return off("no such check", {}, {});
}

TEST(Doctor, what_it_says_to_write_mends_the_node) {
    const auto prolog = [](const std::string& value) {
        auto facts = healthy();
        facts.slurm.prologs.clear();
        facts.slurm.conf = conf_of(value + '\n');
        return finding("slurm.prolog", facts);
    };
    EXPECT_EQ(prolog("").write, "Prolog=/etc/slurm/prolog.d/*");
    EXPECT_EQ(prolog("Prolog=/opt/site/p.d/*").write,
              "ln -s /usr/libexec/ubf/slurm/prolog /opt/site/p.d/50-ubf");
    EXPECT_EQ(prolog("Prolog=/opt/site/prolog.sh").write, "/usr/libexec/ubf/slurm/prolog");
    EXPECT_EQ(prolog("Prolog=/opt/site/prolog.sh").where, "/opt/site/prolog.sh");

    auto facts = healthy();
    facts.node.reserved = "9000,9100-9199";
    facts.slurm.conf = conf_of("SrunPortRange=40001-40100\n");
    EXPECT_EQ(finding("slurm.srunports", facts).write,
              "net.ipv4.ip_local_reserved_ports = 9000,9100-9199,40001-40100");
    facts.slurm.conf = conf_of("ProctrackType=proctrack/cgroup\nPrologFlags=X11\n");
    EXPECT_EQ(finding("slurm.contain", facts).state, State::ok);
}

TEST(SettingsOfSlurm, are_what_people_write) {
    const SlurmConf conf("clustername=\"my lab\" # a comment\n"
                         "PrologFlags = Alloc, \\\n  x=1\n"
                         "include nodes.conf\n",
                         "/etc/slurm/slurm.conf",
                         [](const std::string& file) -> std::optional<std::string> {
                             if (file != "/etc/slurm/nodes.conf")
                                 return std::nullopt;
                             return "NodeName=n[01-16,20],login CPUs=4\nNodeName=DEFAULT CPUs=2\n"
                                    "PrologFlags=Contain,Alloc\nInclude gone.conf\n";
                         });
    EXPECT_EQ(conf.get("ClusterName"), "my lab");
    EXPECT_TRUE(conf.lists("prologflags", "contain"));
    EXPECT_EQ(conf.nodes(), 18U);
    EXPECT_EQ(conf.get("CPUs"), "");
    ASSERT_TRUE(conf.mistake());
    EXPECT_EQ(slurm::to_string(*conf.mistake()),
              "/etc/slurm/nodes.conf:4: Include /etc/slurm/gone.conf: can't be read");
}

TEST(SettingsOfSlurm, have_a_mistake_in_a_wrong_list_of_nodes) {
    const SlurmConf conf("NodeName=n[5-1]\n", "slurm.conf",
                         [](const std::string&) { return std::nullopt; });
    ASSERT_TRUE(conf.mistake());
    EXPECT_EQ(conf.mistake()->line, 1U);
}

TEST(Listening, reads_the_kernels_tables) {
    const auto found = listening_in(
        {{Protocol::tcp,
          "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
          "   0: 00000000:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000 63001       "
          " "
          "0 4242 1 0\n"
          "   1: 0100007F:2329 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 63001       "
          " "
          "0 4243 1 0\n"
          "   2: junk\n"
          "   3: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0       "
          " "
          "0 17 1 0\n"},
         {Protocol::udp, "  sl\n  9: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 "
                         "00000000 5 0 99 2 0\n"}});
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(to_string(found[0].place), "0.0.0.0:9001");
    EXPECT_EQ(found[0].uid, Uid{63001});
    EXPECT_EQ(found[0].inode, 4242U);
    EXPECT_EQ(found[0].flows, 1U);
    EXPECT_TRUE(found[0].is_everywhere());
    EXPECT_EQ(to_string(found[1].place), "127.0.0.1:22");
    EXPECT_FALSE(found[1].is_everywhere());
    EXPECT_EQ(found[2].protocol, Protocol::udp);
}

} // namespace
} // namespace ubf::ctl::doctor
