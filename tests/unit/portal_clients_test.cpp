#include "daemon/portal/clients.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ubf::portal {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr TimePoint start{};
constexpr TimePoint later = start + 1min;
constexpr Uid web{33};
constexpr Uid other{34};

constexpr Uid third{35};
constexpr Clients::Limits limits{256, 600};

void fill(Clients& clients, Uid uid, int first, int number) {
    for (int fd = first; fd < first + number; ++fd)
        clients.add(fd, {uid, Pid{1}}, start + std::chrono::milliseconds(fd));
}

void expect_room(Clients& clients, Uid uid, std::optional<int> evicted) {
    const auto room = clients.make_room(uid, later);
    EXPECT_TRUE(room.there);
    EXPECT_EQ(room.evicted, evicted);
}

TEST(PortalClients, nobody_goes_while_there_is_room) {
    Clients clients(limits);
    fill(clients, web, 0, 255);
    expect_room(clients, web, {});
    fill(clients, web, 255, 1);
    expect_room(clients, web, 0);
    EXPECT_EQ(clients.size(), 255U);
}

TEST(PortalClients, the_longest_idle_goes_first) {
    Clients clients(limits);
    fill(clients, web, 0, 256);
    clients.begin(0);
    clients.answer(0, start + 1s);
    clients.end(0, start + 1s); // it has asked since
    expect_room(clients, web, 1);
}

TEST(PortalClients, one_that_waits_for_its_answer_stays) {
    Clients clients(limits);
    fill(clients, web, 0, 256);
    for (int fd = 0; fd < 256; ++fd)
        clients.begin(fd);
    EXPECT_FALSE(clients.make_room(web, later).there);
    EXPECT_THAT(clients.take_overdue(start + 1h), IsEmpty());
    clients.answer(7, start + 1s); // the answer has yet to be sent
    EXPECT_FALSE(clients.make_room(web, later).there);
    clients.end(7, start + 1s);
    expect_room(clients, web, 7);
}

TEST(PortalClients, one_that_came_just_now_stays) {
    Clients clients(limits);
    for (int fd = 0; fd < 256; ++fd)
        clients.add(fd, {web, Pid{1}}, start);
    EXPECT_FALSE(clients.make_room(web, start).there);
    EXPECT_TRUE(clients.make_room(web, start + 1ms).there);
}

TEST(PortalClients, one_that_does_not_read_its_answer_ends_as_well) {
    Clients clients(limits);
    clients.add(3, {web, Pid{1}}, start);
    clients.begin(3);
    clients.answer(3, start + 1s);
    EXPECT_THAT(clients.take_overdue(start + 61s), ElementsAre(3));
}

TEST(PortalClients, nobodys_many_connections_end_or_shut_out_anothers) {
    Clients clients(limits);
    fill(clients, other, 0, 1); // longest idle
    fill(clients, web, 100, 256);
    for (int fd = 100; fd < 356; ++fd)
        clients.begin(fd);
    EXPECT_FALSE(clients.make_room(web, later).there);
    expect_room(clients, other, {});
    EXPECT_TRUE(clients.peer(0));
}

TEST(PortalClients, of_too_many_in_all_one_goes_of_the_user_with_the_most) {
    Clients clients(limits);
    fill(clients, other, 0, 150); // longer idle
    fill(clients, web, 150, 250);
    fill(clients, third, 400, 200);
    expect_room(clients, other, 150);
    EXPECT_TRUE(clients.peer(0));
}

TEST(PortalClients, a_minute_of_silence_ends_a_connection) {
    Clients clients(limits);
    clients.add(3, {web, Pid{1}}, start);
    clients.add(4, {web, Pid{1}}, start + 1s);
    EXPECT_THAT(clients.take_overdue(start + 59s), IsEmpty());
    EXPECT_THAT(clients.take_overdue(start + 60s), ElementsAre(3));
    EXPECT_FALSE(clients.peer(3));
    EXPECT_EQ(clients.peer(4)->uid, web);
}

} // namespace
} // namespace ubf::portal
