// Tickets of web portals: who may spend them, when, and how many there are.
#include "daemon/tickets/kept_bearers.hpp"
#include "daemon/tickets/ticket_book.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

constexpr Uid www{33}, other_portal{34}, alice{1001}, bob{1002};

class TicketBookTest : public testing::Test {
  protected:
    const TimePoint start = TimePoint(std::chrono::hours(1));
    const Endpoint target = *Endpoint::parse("10.0.0.7:8888");
    TicketBook book;
    std::uint64_t last_socket = 0;

    TimePoint after(int span) const { return start + std::chrono::seconds(span); }
    Ticket ticket(Uid user, Uid portal = www) const {
        return {portal, target, {user, {}}, {}, after(10)};
    }
    Flow flow(Port port = 40000) const {
        return {Protocol::tcp, {*Address::parse("10.0.0.3"), port}, target};
    }
    // The user for whom a new socket speaks; root: nobody.
    Uid spend(int at = 1, Uid portal = www, Port port = 40000) {
        return whom(book.spend(portal, flow(port), Cookie{++last_socket}, after(at)));
    }
    static Uid whom(const std::optional<Bearer>& bearer) { return bearer ? bearer->user : Uid{0}; }
};

TEST_F(TicketBookTest, is_spent_once_by_the_portal_that_asked) {
    book.add(ticket(alice), start);
    EXPECT_EQ(spend(1, other_portal), Uid{0});
    EXPECT_EQ(spend(), alice);
    EXPECT_EQ(spend(), Uid{0});
    EXPECT_EQ(book.size(), 0u);
}

TEST_F(TicketBookTest, is_for_one_target_alone) {
    book.add(ticket(alice), start);
    for (const char* elsewhere : {"10.0.0.7:8889", "10.0.0.8:8888", "[fd00::7]:8888"}) {
        auto other = flow();
        other.destination = *Endpoint::parse(elsewhere);
        EXPECT_FALSE(book.spend(www, other, Cookie{1}, start)) << elsewhere;
    }
    EXPECT_EQ(spend(), alice);
}

TEST_F(TicketBookTest, ends_when_portals_may_not_speak_for_the_user_any_more) {
    book.add(ticket(alice), start);
    EXPECT_EQ(spend(), alice);
    const Cookie alices{last_socket};
    book.add(ticket(bob), start);
    EXPECT_EQ(spend(1, www, 40001), bob);
    const Cookie bobs{last_socket};
    book.add(ticket(alice), start);
    book.add(ticket(bob), start);
    EXPECT_TRUE(book.keep_those_of([](Uid user) { return user == bob; }));
    EXPECT_FALSE(book.of(alices, flow()));
    EXPECT_EQ(whom(book.of(bobs, flow(40001))), bob);
    EXPECT_EQ(spend(1, www, 40002), bob);
    EXPECT_EQ(spend(1, www, 40003), Uid{0});
    EXPECT_FALSE(book.keep_those_of([](Uid) { return true; }));
}

TEST_F(TicketBookTest, expires_to_the_moment) {
    book.add(ticket(alice), start);
    EXPECT_EQ(book.expire(after(9)).expired, 0u);
    EXPECT_EQ(spend(10), Uid{0});
    EXPECT_EQ(book.expire(after(10)).expired, 1u);
    EXPECT_EQ(book.size(), 0u);
}

TEST_F(TicketBookTest, a_socket_speaks_for_one_user_as_long_as_its_connection_lives) {
    book.add(ticket(alice), start);
    book.add(ticket(bob), start);
    ASSERT_EQ(spend(), alice);
    EXPECT_EQ(whom(book.of(Cookie{1}, flow())), alice); // long after the ticket's time
    EXPECT_EQ(spend(), bob);
    book.forget(Cookie{1});
    EXPECT_FALSE(book.of(Cookie{1}, flow()));
    EXPECT_EQ(whom(book.of(Cookie{2}, flow())), bob);
    EXPECT_EQ(book.bound(), 1u);
}

TEST_F(TicketBookTest, a_socket_that_begins_another_connection_needs_another_ticket) {
    book.add(ticket(alice), start);
    ASSERT_EQ(spend(), alice);
    auto elsewhere = flow();
    elsewhere.destination.port = 8889;
    for (const auto& other : {elsewhere, flow(40001)}) {
        EXPECT_FALSE(book.of(Cookie{1}, other));
        EXPECT_FALSE(book.opening(Cookie{1}, other, after(1)));
    }
    // A SYN that is sent again, and a connection of the same ends that is begun much later.
    EXPECT_EQ(whom(book.opening(Cookie{1}, flow(), after(10))), alice);
    EXPECT_FALSE(book.opening(Cookie{1}, flow(), after(11)));
    auto next = ticket(bob);
    next.target.port = 8889;
    book.add(next, start);
    EXPECT_EQ(whom(book.spend(www, elsewhere, Cookie{1}, after(2))), bob);
    EXPECT_EQ(whom(book.of(Cookie{1}, elsewhere)), bob);
    EXPECT_FALSE(book.of(Cookie{1}, flow()));
    EXPECT_EQ(book.bound(), 1u);
}

TEST_F(TicketBookTest, with_a_source_waits_for_that_source_and_comes_first_there) {
    book.add(ticket(bob), start);
    auto exact = ticket(alice);
    exact.source = flow(40001).source;
    book.add(exact, start);
    EXPECT_EQ(spend(1, www, 40001), alice);
    book.add(exact, start);
    EXPECT_EQ(spend(1, www, 40002), bob);
    EXPECT_EQ(spend(1, www, 40002), Uid{0});
    EXPECT_EQ(spend(1, www, 40001), alice);
}

TEST_F(TicketBookTest, of_too_many_to_one_target_the_oldest_gives_way) {
    for (std::uint32_t i = 0; i < TicketBook::most_to_one; ++i)
        EXPECT_EQ(book.add(ticket(Uid{2000 + i}), start).evicted, 0u);
    EXPECT_EQ(book.add(ticket(alice), start).evicted, 1u);
    EXPECT_EQ(spend(), Uid{2001});
}

TEST_F(TicketBookTest, nobodys_many_tickets_to_a_shared_target_cost_another_theirs) {
    book.add(ticket(alice), start);
    for (std::size_t i = 0; i < 2 * TicketBook::most_to_one; ++i)
        book.add(ticket(bob), start);
    EXPECT_EQ(spend(), alice);
    EXPECT_EQ(spend(), bob);
}

TEST_F(TicketBookTest, nobodys_many_tickets_cost_another_theirs) {
    book.add(ticket(alice), start);
    for (std::size_t i = 0; i < TicketBook::most + TicketBook::most_of_one; ++i) {
        auto one = ticket(Uid{static_cast<std::uint32_t>(2000 + i % 9)});
        one.target.port = static_cast<Port>(10000 + i);
        book.add(one, start);
    }
    EXPECT_EQ(book.size(), TicketBook::most);
    EXPECT_EQ(spend(), alice);
}

TEST_F(TicketBookTest, of_too_many_for_one_user_their_oldest_gives_way) {
    book.add(ticket(bob), start);
    for (std::size_t i = 0; i <= TicketBook::most_of_one; ++i) {
        auto one = ticket(alice);
        one.target.port = static_cast<Port>(10000 + i);
        EXPECT_EQ(book.add(one, start).evicted, i == TicketBook::most_of_one ? 1u : 0u);
    }
    auto first = flow();
    first.destination.port = 10000;
    EXPECT_FALSE(book.spend(www, first, Cookie{1000}, start));
    ++first.destination.port;
    EXPECT_TRUE(book.spend(www, first, Cookie{1001}, start));
    EXPECT_EQ(spend(), bob);
}

TEST_F(TicketBookTest, of_too_many_in_all_the_oldest_gives_way) {
    for (std::size_t i = 0; i <= TicketBook::most; ++i) {
        auto one = ticket(Uid{static_cast<std::uint32_t>(2000 + i)});
        one.target.port = static_cast<Port>(1024 + i);
        EXPECT_EQ(book.add(one, start).evicted, i == TicketBook::most ? 1u : 0u);
    }
    EXPECT_EQ(book.size(), TicketBook::most);
    auto first = flow();
    first.destination.port = 1024;
    EXPECT_FALSE(book.spend(www, first, Cookie{1}, start));
}

TEST_F(TicketBookTest, of_too_many_sockets_the_oldest_is_the_portals_own_again) {
    for (std::size_t i = 0; i <= TicketBook::most_bound; ++i) {
        book.add(ticket(alice), start);
        ASSERT_EQ(spend(), alice);
    }
    EXPECT_EQ(book.bound(), TicketBook::most_bound);
    EXPECT_FALSE(book.of(Cookie{1}, flow()));
    EXPECT_TRUE(book.of(Cookie{2}, flow()));
}

TEST_F(TicketBookTest, sockets_come_back_from_the_file_as_they_were_in_the_same_boot) {
    const auto program = std::make_shared<const Process>(Process{Pid{7}, "nginx a", 0});
    book.add({www, target, {alice, program}, {}, after(10)}, start);
    book.add(ticket(bob), start);
    ASSERT_EQ(spend(), alice);
    ASSERT_EQ(spend(), bob);
    const auto text = to_text(book.speaking(), "boot-1");
    EXPECT_EQ(text, "boot-1\n1 1001 10.0.0.3:40000 10.0.0.7:8888 7 nginx a\n"
                    "2 1002 10.0.0.3:40000 10.0.0.7:8888 0 \n");
    TicketBook other;
    for (const auto& known : parse_speaking(text, "boot-1"))
        other.restore(known);
    EXPECT_EQ(to_text(other.speaking(), "boot-1"), text);
    EXPECT_EQ(whom(other.of(Cookie{1}, flow())), alice);
    EXPECT_FALSE(other.opening(Cookie{1}, flow(), start)); // it was open already
    EXPECT_TRUE(parse_speaking(text, "boot-2").empty());
    EXPECT_TRUE(parse_speaking(text, "").empty());
    const std::string good = "1 1001 10.0.0.3:4 10.0.0.7:8 7 a";
    EXPECT_EQ(parse_speaking(fmt::format("b\n{0}\n{0}\n", good), "b").size(), 2u);
    for (const char* bad : {"x 1001 10.0.0.3:4 10.0.0.7:8 7 a", "1 0 10.0.0.3:4 10.0.0.7:8 7 a",
                            "1 -1 10.0.0.3:4 10.0.0.7:8 7 a", "1 1001 10.0.0.3:4 10.0.0.7:8 -7 a",
                            "1 1001 10.0.0.3:4 10.0.0.7 7 a", "1 1001 7 a", "1 1001", "\n"})
        EXPECT_TRUE(parse_speaking(fmt::format("b\n{}\n{}\n", bad, good), "b").empty()) << bad;
}

TEST_F(TicketBookTest, whose_time_a_reload_shortened_does_not_wait_for_those_before) {
    book.add(ticket(bob, other_portal), start);
    auto brief = ticket(alice);
    brief.expires = after(2);
    book.add(brief, start);
    EXPECT_EQ(spend(3), Uid{0});
}

} // namespace
} // namespace ubf
