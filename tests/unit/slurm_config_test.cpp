#include "config/config.hpp"
#include "daemon/unknown_names.hpp"

#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <thread>
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

TEST_F(SlurmConfiguration, a_file_that_was_good_is_taken_as_it_was) {
    const auto config = read(good);
    std::ofstream(file_) << "SlurmctldHost=head(10.0.0.1\n";
    const auto again =
        parse_config(config.source.text, "f", Names::look_up_or_list, config.slurm.texts);
    EXPECT_THAT(again.unknown.names, IsEmpty());
    EXPECT_EQ(again.slurm.ports, config.slurm.ports);
    EXPECT_EQ(again.slurm.hosts, config.slurm.hosts);
    EXPECT_EQ(again.slurm.texts, config.slurm.texts);
}

// The configuration after another question for names; nothing, if that tells nothing new.
class AskedAgain : public SlurmConfiguration {
  protected:
    static std::optional<Config> ask(const Config& config) {
        UnknownNames names;
        constexpr std::chrono::seconds pause{31};
        const auto asked = Clock::now() + pause;
        EXPECT_FALSE(names.look(config, "f", asked));
        for (int tries = 0; tries < 500; ++tries) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            if (auto fresh = names.look(config, "f", asked))
                return fresh;
        }
        return std::nullopt;
    }
    static constexpr const char* unknown = "NodeName=m[1-3] NodeAddr=no-such-host.invalid\n";
};

TEST_F(AskedAgain, a_mistake_that_came_into_slurm_conf_meanwhile_takes_no_port_away) {
    const auto config = read(std::string(good) + unknown, Names::look_up_or_list);
    ASSERT_EQ(config.unknown.names.size(), 3u);
    std::ofstream(file_) << good << "SlurmdPort=x\n";
    EXPECT_FALSE(ask(config));
}

TEST_F(AskedAgain, a_slurm_conf_that_was_mended_holds_though_it_has_more_unknown_names) {
    const auto config = read(std::string(good) + "SlurmdPort=x\n", Names::look_up_or_list);
    ASSERT_EQ(config.unknown.names.size(), 1u);
    EXPECT_TRUE(config.slurm.is_bad());
    std::ofstream(file_) << good << unknown;
    const auto fresh = ask(config);
    ASSERT_TRUE(fresh);
    EXPECT_EQ(fresh->slurm.ports.size(), 2u);
    EXPECT_EQ(fresh->unknown.names.size(), 3u);
}

} // namespace
} // namespace ubf
