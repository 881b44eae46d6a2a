// The kernel's list of IPVS's services, as Linux 6.1 prints it.
#include "owner/virtual_services.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

constexpr const char* as_printed = "IP Virtual Server version 1.2.1 (size=4096)\n"
                                   "Prot LocalAddress:Port Scheduler Flags\n"
                                   "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
                                   "TCP  [fd77:0000:0000:0000:0000:0000:0000:0064]:1F40 rr \n"
                                   "  -> [fd77:0000:0000:0000:0000:0000:0000:0003]:1F40      Route "
                                   "  1      0          0         \n"
                                   "TCP  0A4D0064:1F40 rr persistent 300 FFFFFFFF\n"
                                   "  -> 0A4D0003:1F40      Route   1      0          0         \n"
                                   "  -> 0A4D0004:1F40      Masq    1      0          0         \n"
                                   "UDP  0A4D0064:0035 wlc \n"
                                   "FWM  00000007 rr \n"
                                   "  -> 0A4D0009:1F40      Route   1      0          0         \n"
                                   "TCP  0A4D0064:1F41 rr \n"
                                   "  -> 0A4D0002:1F41      Local   1      0          0         \n";

TEST(VirtualServices, are_parsed) {
    const auto services = parse_virtual_services(as_printed);
    ASSERT_EQ(services.size(), 4u);
    EXPECT_EQ(services[0].place, *Endpoint::parse("[fd77::64]:8000"));
    EXPECT_EQ(services[0].servers, std::vector{*Address::parse("fd77::3")});
    EXPECT_EQ(services[1].place, *Endpoint::parse("10.77.0.100:8000"));
    EXPECT_EQ(services[1].servers,
              (std::vector{*Address::parse("10.77.0.3"), *Address::parse("10.77.0.4")}));
    EXPECT_EQ(services[2].protocol, Protocol::udp);
    EXPECT_EQ(services[2].place, *Endpoint::parse("10.77.0.100:53"));
    EXPECT_TRUE(services[2].servers.empty()); // the firewall mark's servers don't count
    EXPECT_FALSE(services[2].is_local);
    EXPECT_TRUE(services[3].is_local);
}

TEST(VirtualServices, a_server_that_cannot_be_read_may_be_this_node) {
    const auto services = parse_virtual_services("TCP  0A4D0064:1F40 rr \n"
                                                 "  -> 1A4D00030:1F40      Route   1 0 0\n");
    ASSERT_EQ(services.size(), 1u);
    EXPECT_TRUE(services[0].is_local);
}

TEST(VirtualServices, what_is_no_list_has_none) {
    EXPECT_TRUE(parse_virtual_services("").empty());
    EXPECT_TRUE(parse_virtual_services("TCP\n  ->\nTCP :\nTCP 1:2:3\n").empty());
    EXPECT_TRUE(parse_virtual_services("TCP  0A4D0064:11F40 rr \n").empty());
}

} // namespace
} // namespace ubf
