#include "config/config.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ubf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SlurmConfiguration : public testing::Test {
  protected:
    Config read(const std::string& text, Names names = Names::look_up) {
        std::ofstream(file_) << text;
        return parse_config(fmt::format("[slurm]\nconf = \"{}\"\n"
                                        "submit_hosts = [\"10.0.0.0/28\", \"fd00::1\"]\n",
                                        file_.string()),
                            "ubfd.toml", names);
    }
    void TearDown() override { std::filesystem::remove(file_); }

    std::filesystem::path file_ =
        std::filesystem::temp_directory_path() / fmt::format("slurm-{}.conf", ::getpid());
};

const char* const good = "SlurmctldHost=head(10.0.0.1)\nSrunPortRange=60001-60100\n"
                         "NodeName=n[1-2] NodeAddr=10.0.1.[1-2] Port=[7001-7002]\n";

TEST_F(SlurmConfiguration, has_ports_and_hosts_for_the_ruleset_and_exceptions_for_the_policy) {
    const auto config = read(good);
    EXPECT_THAT(config.slurm.ports,
                ElementsAre(PortRange{6817, 6817}, PortRange{6819, 6819}, PortRange{7001, 7002}));
    EXPECT_THAT(config.slurm.hosts,
                ElementsAre(*Prefix::parse("10.0.0.0/28"), *Prefix::parse("10.0.1.1"),
                            *Prefix::parse("10.0.1.2"), *Prefix::parse("fd00::1")));
    EXPECT_THAT(config.slurm.warnings, IsEmpty());
    EXPECT_EQ(config.policy.exceptions.size(), 5u); // 3 of daemons, slurmstepd's, the controller's
    EXPECT_TRUE(config.labels.steps);
}

TEST_F(SlurmConfiguration, a_mistake_is_an_error_with_its_line_or_a_warning_at_a_start) {
    const std::string bad = std::string(good) + "SlurmdPort=x\n";
    try {
        read(bad);
        ADD_FAILURE() << "no error";
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(), HasSubstr(file_.string() + ":4: SlurmdPort=x is no port"));
    }
    const auto config = read(bad, Names::look_up_or_list);
    EXPECT_THAT(config.unknown.names, ElementsAre(HasSubstr(":4: SlurmdPort=x")));
    EXPECT_THAT(config.slurm.ports, IsEmpty());
    EXPECT_THAT(config.policy.exceptions, IsEmpty());
}

TEST_F(SlurmConfiguration, a_name_that_does_not_resolve_is_named_and_looked_up_again) {
    const auto config = read(std::string(good) + "NodeName=m1 NodeAddr=no-such-host.invalid\n");
    EXPECT_THAT(config.slurm.warnings, ElementsAre(HasSubstr("'no-such-host.invalid' does not")));
    EXPECT_EQ(config.unknown.names, config.slurm.warnings);
    EXPECT_EQ(config.slurm.hosts.size(), 4u);
}

} // namespace
} // namespace ubf
