// ubfd, ubf-portal and ubf-connect agree about the addresses that portals reach.
#include "config/portal_targets.hpp"

#include "config/config.hpp"
#include "daemon/connect/settings.hpp"
#include "daemon/portal/settings.hpp"
#include "daemon/tickets/portal_question.hpp"

#include <array>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ubf {
namespace {

class PortalTargetsTest : public testing::Test {
  protected:
    const std::filesystem::path file =
        std::filesystem::temp_directory_path() / ("portal_targets." + std::to_string(::getpid()));
    ~PortalTargetsTest() override { std::filesystem::remove(file); }

    // Whether all three let portals reach the address, which is another node's.
    bool reach(const std::string& text, const std::string& address) {
        std::ofstream(file) << text;
        const Endpoint target{*Address::parse(address), 8888};
        const auto config = load_config(file);
        const auto targets = portal_targets(config);
        Scope scope;
        scope.ethernet.ports = {{1024, 65535}};
        const std::array answers{
            place_of(target, false, {targets, config.policy, scope}).has_value(),
            portal::settings_of(config).terms.targets.has(target.address),
            connect::settings_of(config).is_target(target)};
        EXPECT_TRUE(answers[0] == answers[1] && answers[1] == answers[2])
            << address << " is a target of ubfd " << answers[0] << ", ubf-portal " << answers[1]
            << ", ubf-connect " << answers[2] << " with:\n"
            << text;
        return answers[0];
    }
    const std::string peers = "[peers]\nranges = [\"192.0.2.0/24\"]\n";
    const std::string on_fabric = "[fabric]\nenabled = true\npeers = [\"198.51.100.0/24\"]\n";
};

TEST_F(PortalTargetsTest, are_all_peers_also_those_of_a_fabric_that_is_on) {
    EXPECT_TRUE(reach(peers, "192.0.2.7"));
    EXPECT_FALSE(reach(peers, "198.51.100.7"));
    EXPECT_TRUE(reach(peers + on_fabric, "198.51.100.7"));
    EXPECT_TRUE(reach(peers + on_fabric, "192.0.2.7"));
    EXPECT_FALSE(reach(peers + "[fabric]\nenabled = false\npeers = [\"198.51.100.0/24\"]\n",
                       "198.51.100.7"));
}

TEST_F(PortalTargetsTest, are_those_peers_that_are_listed) {
    const std::string listed = "[portal]\ntargets = [\"192.0.2.8/29\", \"203.0.113.0/24\"]\n";
    EXPECT_TRUE(reach(peers + listed, "192.0.2.9"));
    EXPECT_FALSE(reach(peers + listed, "192.0.2.7"));
    EXPECT_FALSE(reach(peers + listed, "203.0.113.1")); // no peer
    EXPECT_FALSE(reach(peers + on_fabric + listed, "198.51.100.7"));
}

TEST_F(PortalTargetsTest, are_never_of_a_kind_that_no_portal_reaches) {
    const std::string wide = "[peers]\nranges = [\"169.254.0.0/16\", \"127.0.0.0/8\"]\n";
    EXPECT_FALSE(reach(wide, "169.254.169.254"));
    EXPECT_FALSE(reach(wide, "127.0.0.1"));
}

TEST_F(PortalTargetsTest, are_this_nodes_own_if_none_are_listed) {
    PortalTargets targets{{}, {*Prefix::parse("192.0.2.0/24")}, {}};
    const auto own = *Address::parse("203.0.113.1");
    EXPECT_TRUE(targets.has(own, true));
    EXPECT_FALSE(targets.has(own, false));
    targets.listed = {*Prefix::parse("192.0.2.7")};
    EXPECT_FALSE(targets.has(own, true));
}

} // namespace
} // namespace ubf
