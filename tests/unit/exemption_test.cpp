// Exemptions for some addresses only: their syntax, the flows that they allow, and the warnings
// about them.
#include "config/config.hpp"
#include "daemon/gate/allowed_flows.hpp"
#include "policy/policy.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Uid root{0};
constexpr Uid alice{2001};

Flow flow(const char* from, const char* to, Protocol protocol = Protocol::tcp) {
    return {protocol, *Endpoint::parse(from), *Endpoint::parse(to)};
}

Config config_of(const std::string& text) {
    return parse_config("[peers]\nranges = [\"10.0.0.0/16\", \"fd00::/48\"]\n" + text, "f");
}

Policy policy_of(const std::string& lines) {
    return config_of("[policy]\n" + lines).policy;
}

std::string error_of(const std::string& lines) {
    try {
        policy_of(lines);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "none";
}

bool lets_in(const Policy& policy, const Flow& flow, const Owner& listener,
             const Owner& connector) {
    return decide(flow, listener, connector, policy).action() == Action::allow;
}

TEST(Exemption, of_a_connector_holds_where_its_end_is) {
    const auto policy = policy_of("exempt_connectors = [\"root@10.0.0.1\", \"root@fd00::/64\"]\n");
    const auto of_root = [&](const char* from, const char* to) {
        return lets_in(policy, flow(from, to), Owner::user(alice), Owner::user(root));
    };
    EXPECT_TRUE(of_root("10.0.0.1:1", "10.0.0.2:80"));
    EXPECT_FALSE(
        of_root("10.0.0.2:1", "10.0.0.1:80")); // the exemption counts at the connector's end only
    EXPECT_FALSE(of_root("127.0.0.1:1", "127.0.0.1:80"));
    EXPECT_TRUE(of_root("[fd00::7]:1", "[fd00::8]:80"));
    EXPECT_FALSE(of_root("[fd00:0:0:1::7]:1", "[fd00::8]:80"));
    EXPECT_FALSE(lets_in(policy, flow("10.0.0.1:1", "10.0.0.2:80"), Owner::user(alice),
                         Owner::user(Uid{7})));
}

TEST(Exemption, of_a_listener_holds_where_its_end_is) {
    const auto policy = policy_of("exempt_listeners = [\"7@10.0.0.1\"]\n");
    EXPECT_TRUE(lets_in(policy, flow("10.0.0.9:1", "10.0.0.1:80"), Owner::user(Uid{7}), Owner{}));
    EXPECT_FALSE(lets_in(policy, flow("10.0.0.1:1", "10.0.0.9:80"), Owner::user(Uid{7}),
                         Owner::user(alice)));
}

TEST(Exemption, never_holds_at_a_link_local_address) {
    const auto policy = policy_of("exempt_connectors = [\"root@::/0\"]\n");
    EXPECT_TRUE(lets_in(policy, flow("[fd00::7]:1", "[fd00::8]:80"), Owner::user(alice),
                        Owner::user(root)));
    EXPECT_FALSE(lets_in(policy, flow("[fe80::7]:1", "[fe80::8]:80"), Owner::user(alice),
                         Owner::user(root)));
}

TEST(Exemption, of_the_kernel_goes_by_the_listeners_port_and_its_own_address) {
    const auto policy = policy_of("kernel = [\"tcp/2049@10.0.0.1\", \"*@10.0.0.2\", 988]\n");
    const auto of_kernel = [&](const Flow& flow, bool listens) {
        return listens ? lets_in(policy, flow, Owner::kernel(), Owner::user(alice))
                       : lets_in(policy, flow, Owner::user(alice), Owner::kernel());
    };
    EXPECT_TRUE(of_kernel(flow("10.0.0.9:700", "10.0.0.1:2049"), true));
    EXPECT_FALSE(of_kernel(flow("10.0.0.9:700", "10.0.0.1:2049", Protocol::udp), true));
    EXPECT_FALSE(of_kernel(flow("10.0.0.9:700", "10.0.0.1:2050"), true));
    EXPECT_FALSE(of_kernel(flow("10.0.0.1:700", "10.0.0.9:2049"), true));
    EXPECT_TRUE(of_kernel(flow("10.0.0.1:700", "10.0.0.9:2049"), false));
    EXPECT_FALSE(of_kernel(flow("10.0.0.1:2049", "10.0.0.9:700"), false));
    EXPECT_TRUE(of_kernel(flow("10.0.0.2:700", "10.0.0.9:8888"), false));
    EXPECT_TRUE(of_kernel(flow("10.0.0.9:700", "10.0.0.8:988", Protocol::udp), true));
    EXPECT_TRUE(of_kernel(flow("10.0.0.9:700", "10.0.0.1:2049", Protocol::rdma), true));
}

TEST(Exemption, a_socket_of_root_is_looked_for_only_where_the_kernel_is_exempt) {
    const auto policy = policy_of("kernel = [\"2049@10.0.0.1\"]\n");
    const auto settled = [&](const char* to) {
        return settled_by_uid(flow("10.0.0.9:700", to), Owner::user(root), Owner::outside(),
                              policy);
    };
    EXPECT_FALSE(settled("10.0.0.1:2049"));
    EXPECT_TRUE(settled("10.0.0.1:2050"));
    EXPECT_TRUE(settled("10.0.0.2:2049"));
}

TEST(Exemption, of_what_was_allowed_is_that_of_the_connectors_end) {
    const auto policy = policy_of("exempt_connectors = [\"root@10.0.0.1\"]\n");
    AllowedFlow allowed;
    allowed.flow = flow("10.0.0.1:1", "10.0.0.2:80", Protocol::udp);
    allowed.listener = {OwnerKind::user, alice};
    allowed.connector = {OwnerKind::user, root};
    const std::vector<Prefix> peers{*Prefix::parse("10.0.0.0/24")};
    EXPECT_EQ(allowed_by_uid(allowed, false, peers, policy), Reason::exempt_connector);
    allowed.flow = allowed.flow.reversed();
    EXPECT_EQ(allowed_by_uid(allowed, false, peers, policy), std::nullopt);
    allowed.reply = true; // now the packet answers a flow of the connector at 10.0.0.1
    EXPECT_EQ(allowed_by_uid(allowed, false, peers, policy), Reason::exempt_connector);
}

TEST(Exemption, is_written_in_one_way) {
    const auto policy =
        policy_of("exempt_connectors = [\"2000-2999@10.0.0.0/28\", \"2000@fd00::/64\", 3000]\n");
    EXPECT_THAT(policy.exempt_connectors,
                ElementsAre(Exemption{{Uid{2000}, Uid{2000}}, Prefix::parse("fd00::/64")},
                            Exemption{{Uid{2000}, Uid{2999}}, Prefix::parse("10.0.0.0/28")},
                            Exemption{{Uid{3000}, Uid{3000}}}));
    EXPECT_THAT(policy_of("kernel = \"allow\"\n").exempt_kernel, ElementsAre(KernelExemption{}));
    EXPECT_THAT(policy_of("kernel = \"deny\"\n").exempt_kernel, IsEmpty());
    EXPECT_THAT(policy_of("kernel = []\n").exempt_kernel, IsEmpty());
    for (const char* bad : {"root@", "root@10.0.0", "root@10.0.0.1/28", "root@node1", "@10.0.0.1",
                            "root@@10.0.0.1", "root@fe80::1", "root@10.0.0.1/33"})
        EXPECT_THAT(error_of(fmt::format("exempt_connectors = [\"{}\"]\n", bad)),
                    HasSubstr("f:4:22: policy.exempt_connectors: "))
            << bad;
    EXPECT_THAT(error_of("exempt_connectors = [\"root@10.0.0.1\", \"0-5\"]\n"),
                HasSubstr("overlaps"));
    EXPECT_THAT(error_of("exempt_connectors = [\"root@10.0.0.1\", \"0@10.0.0.0/28\"]\n"),
                HasSubstr("overlaps"));
    for (const char* bad : {"2049@", "sctp/2049", "@10.0.0.1"})
        EXPECT_THAT(error_of(fmt::format("kernel = [\"{}\"]\n", bad)),
                    HasSubstr("f:4:11: policy.kernel: "))
            << bad;
    EXPECT_THAT(error_of("kernel = \"maybe\"\n"), HasSubstr("one of"));
}

TEST(Exemption, of_root_everywhere_is_warned_of) {
    const auto of = [](const std::string& text) { return warnings(config_of(text)); };
    EXPECT_THAT(of(""), IsEmpty());
    for (const char* wide : {"root", "0-99", "root@10.0.0.0/8", "root@fd00::/16", "root@0.0.0.0/0"})
        EXPECT_THAT(of(fmt::format("[policy]\nexempt_connectors = [\"{}\"]\n", wide)),
                    ElementsAre(HasSubstr("policy.exempt_connectors: root of every node")))
            << wide;
    EXPECT_THAT(of("[fabric]\nexempt_connectors = [\"root\"]\n"),
                ElementsAre(HasSubstr("fabric.exempt_connectors: root of every node")));
    EXPECT_THAT(of("[policy]\nexempt_connectors = [\"root@10.0.0.1\", \"root@fd00::/64\", 7]\n"
                   "exempt_listeners = [\"root\"]\n"),
                IsEmpty());
}

TEST(Exemption, of_nobody_is_warned_of) {
    const auto of = [](const std::string& text) { return warnings(config_of(text)); };
    EXPECT_THAT(of("[policy]\nexempt_connectors = [\"7@192.0.2.1\"]\n"),
                ElementsAre(HasSubstr("uid 7 at 192.0.2.1/32 matches nobody")));
    EXPECT_THAT(of("[policy]\nexempt_listeners = [\"7@192.0.2.1\"]\n[fabric]\npeers = "
                   "[\"192.0.2.0/24\"]\n"),
                IsEmpty());
    EXPECT_THAT(of("[policy]\nexempt_connectors = [\"7@127.0.0.1\", \"7@::1\"]\n"), IsEmpty());
}

} // namespace
} // namespace ubf
