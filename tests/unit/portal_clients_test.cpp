#include "daemon/portal/clients.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ubf::portal {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr TimePoint start{};
constexpr Uid web{33};
constexpr Uid other{34};

void fill(Clients& clients, Uid uid, int first, int number) {
    for (int fd = first; fd < first + number; ++fd)
        clients.add(fd, {uid, Pid{1}}, start + std::chrono::milliseconds(fd));
}

TEST(PortalClients, nobody_goes_while_there_is_room) {
    Clients clients;
    fill(clients, web, 0, 255);
    EXPECT_FALSE(clients.evict());
    fill(clients, web, 255, 1);
    EXPECT_EQ(clients.evict(), 0);
    EXPECT_EQ(clients.size(), 255U);
}

TEST(PortalClients, the_longest_idle_goes_first) {
    Clients clients;
    fill(clients, web, 0, 256);
    clients.begin(0);
    clients.end(0, start + 1s); // it has asked since
    EXPECT_EQ(clients.evict(), 1);
}

TEST(PortalClients, one_that_waits_for_its_answer_stays) {
    Clients clients;
    fill(clients, web, 0, 256);
    for (int fd = 0; fd < 256; ++fd)
        clients.begin(fd);
    EXPECT_FALSE(clients.evict());
    EXPECT_THAT(clients.take_overdue(start + 1h), IsEmpty());
    clients.end(7, start + 1s);
    EXPECT_EQ(clients.evict(), 7);
}

TEST(PortalClients, the_one_with_the_most_gives_way) {
    Clients clients;
    fill(clients, other, 0, 100); // longer idle
    fill(clients, web, 100, 156);
    EXPECT_EQ(clients.evict(), 100);
    EXPECT_TRUE(clients.peer(0));
}

TEST(PortalClients, a_minute_of_silence_ends_a_connection) {
    Clients clients;
    clients.add(3, {web, Pid{1}}, start);
    clients.add(4, {web, Pid{1}}, start + 1s);
    EXPECT_THAT(clients.take_overdue(start + 59s), IsEmpty());
    EXPECT_THAT(clients.take_overdue(start + 60s), ElementsAre(3));
    EXPECT_FALSE(clients.peer(3));
    EXPECT_EQ(clients.peer(4)->uid, web);
}

} // namespace
} // namespace ubf::portal
