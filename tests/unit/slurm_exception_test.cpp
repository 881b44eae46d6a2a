#include "policy/policy.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

constexpr Uid root{0};
constexpr Uid alice{63001};
constexpr Uid bob{63002};
constexpr UidRange everybody{Uid{0}, Uid{0xfffffffe}};

Owner stepd(Uid uid) {
    auto owner = Owner::user(uid);
    owner.credentials = Credentials{};
    owner.credentials->slurmstepd = true;
    return owner;
}

Flow flow_to(Port port, const char* from = "10.0.0.2") {
    return {Protocol::tcp, {*Address::parse(from), 40000}, {*Address::parse("10.0.0.1"), port}};
}

Policy policy() {
    Policy policy;
    Exception daemons;
    daemons.udp = false;
    daemons.connectors = everybody;
    daemons.listeners = {root, root};
    daemons.ports = {6817, 6819};
    daemons.exempts_listener = true;
    Exception srun;
    srun.udp = false;
    srun.connectors = srun.listeners = everybody;
    srun.ports = {60001, 60100};
    srun.holder = Exception::Holder::slurmstepd;
    auto controller = srun;
    controller.holder = Exception::Holder::any;
    controller.connectors = {root, root};
    controller.from = Prefix::parse("10.0.0.9");
    policy.exceptions = {daemons, srun, controller};
    return policy;
}

Reason verdict(const Flow& flow, const Owner& listener, const Owner& connector) {
    return decide(flow, listener, connector, policy()).reason;
}

TEST(SlurmExceptions, let_slurmstepd_reach_srun) {
    const auto flow = flow_to(60050);
    EXPECT_EQ(verdict(flow, Owner::user(alice), stepd(root)), Reason::excepted);
    EXPECT_EQ(verdict(flow, Owner::user(alice), Owner::user(root)), Reason::different_user);
    EXPECT_EQ(verdict(flow, Owner::user(alice), stepd(bob)), Reason::different_user);
    EXPECT_EQ(verdict(flow_to(60101), Owner::user(alice), stepd(root)), Reason::different_user);
    auto labelled = policy();
    labelled.require_label = true;
    EXPECT_EQ(decide(flow, Owner::user(alice), stepd(alice), labelled).reason, Reason::excepted);
    EXPECT_EQ(decide(flow, Owner::user(alice), Owner::user(alice), labelled).reason,
              Reason::label_required);
}

TEST(SlurmExceptions, let_the_controller_reach_srun) {
    EXPECT_EQ(verdict(flow_to(60050, "10.0.0.9"), Owner::user(alice), Owner::user(root)),
              Reason::excepted);
    EXPECT_EQ(verdict(flow_to(60050, "10.0.0.9"), Owner::user(alice), Owner::user(bob)),
              Reason::different_user);
}

TEST(SlurmExceptions, let_everybody_reach_slurms_daemons_and_no_program_at_their_ports) {
    EXPECT_EQ(verdict(flow_to(6818), Owner::user(root), Owner::user(bob)), Reason::exempt_listener);
    EXPECT_EQ(verdict(flow_to(6818), Owner::user(root), Owner::outside()), Reason::exempt_listener);
    EXPECT_EQ(verdict(flow_to(6818), Owner::user(alice), Owner::user(bob)), Reason::different_user);
    EXPECT_EQ(verdict(flow_to(6820), Owner::user(root), Owner::user(bob)), Reason::different_user);
}

} // namespace
} // namespace ubf
