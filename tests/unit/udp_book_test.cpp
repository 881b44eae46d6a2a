#include "daemon/udp/udp_book.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using namespace std::chrono_literals;
using Lease = UdpBook::Lease;

Flow flow_from(Port port) {
    return {Protocol::udp, {*Address::parse("10.77.0.1"), port}, {*Address::parse("10.77.0.2"), 9}};
}

UdpBook::Entry allowed(Lease lease, Cookie local, std::optional<Cookie> other = {}) {
    return {lease, Keeper::ethernet, local, Uid{1001}, other};
}

UdpBook::Entry denied(Lease lease, Uid sender) {
    return {lease, Keeper::denied, Cookie{1}, Uid{1001}, {}, {OwnerKind::user, sender}};
}

TEST(UdpBook, finds_a_flow_by_each_of_its_sockets_until_it_is_erased) {
    UdpBook book;
    book.add(flow_from(1), allowed(book.next_lease(), Cookie{1}, Cookie{2}));
    book.add(flow_from(2), allowed(book.next_lease(), Cookie{2}, Cookie{2}));
    EXPECT_EQ(book.flows_of(Cookie{1}).size(), 1u);
    EXPECT_EQ(book.flows_of(Cookie{2}).size(), 2u);
    EXPECT_EQ(book.size(Keeper::ethernet), 2u);

    EXPECT_EQ(book.erase(flow_from(1)).other, Cookie{2});
    EXPECT_TRUE(book.flows_of(Cookie{1}).empty());
    book.erase(flow_from(2));
    EXPECT_TRUE(book.flows_of(Cookie{2}).empty());
    EXPECT_EQ(book.size(Keeper::ethernet), 0u);
}

TEST(UdpBook, finds_no_flow_under_an_older_lease) {
    UdpBook book;
    const auto old = book.next_lease();
    const auto current = book.next_lease();
    book.add(flow_from(1), allowed(current, Cookie{1}));
    EXPECT_NE(book.find(flow_from(1), current), nullptr);
    EXPECT_EQ(book.find(flow_from(1), old), nullptr);
}

TEST(UdpBook, a_new_lease_suffices_only_for_the_same_sockets_and_verdict) {
    auto entry = allowed(Lease{1}, Cookie{1});
    EXPECT_TRUE(entry.can_become(allowed(Lease{2}, Cookie{1})));
    EXPECT_FALSE(entry.can_become(allowed(Lease{2}, Cookie{2})));
    EXPECT_FALSE(entry.can_become(allowed(Lease{2}, Cookie{1}, Cookie{2})));
    EXPECT_FALSE(entry.can_become(denied(Lease{2}, Uid{1001})));
    entry.ending = true;
    EXPECT_FALSE(entry.can_become(allowed(Lease{2}, Cookie{1})));
}

TEST(UdpBook, one_sender_has_no_more_than_his_share_of_what_is_denied) {
    UdpBook book;
    const UdpBook::Sender bob{OwnerKind::user, Uid{1002}}, carol{OwnerKind::user, Uid{1003}};
    const TimePoint begin{};
    Port port = 1;
    for (; book.may_deny(bob); ++port) {
        const auto lease = book.next_lease();
        book.add(flow_from(port), denied(lease, bob.second));
        book.expires(flow_from(port), lease, begin + 5s);
    }
    EXPECT_EQ(book.size(Keeper::denied), 256u);
    EXPECT_TRUE(book.may_deny(carol));

    book.erase_expired(begin + 5s - 1ns);
    EXPECT_FALSE(book.may_deny(bob));
    book.find(flow_from(1))->lease = book.next_lease(); // it was denied anew meanwhile
    book.erase_expired(begin + 5s);
    EXPECT_EQ(book.size(Keeper::denied), 1u);
    EXPECT_TRUE(book.may_deny(bob));
}

TEST(UdpBook, what_is_denied_makes_no_room_for_what_is_allowed) {
    UdpBook book;
    book.add(flow_from(0), denied(book.next_lease(), Uid{1002}));
    auto flow = flow_from(1);
    std::size_t count = 0;
    for (; !book.in_the_way(Uid{1001}); ++count) {
        flow.destination.port = static_cast<Port>(count >> 16);
        flow.source.port = static_cast<Port>(count);
        flow.source.address = *Address::parse("10.77.0.3");
        book.add(flow, allowed(book.next_lease(), Cookie{count}));
    }
    EXPECT_EQ(count, nft::room_for_udp);
    EXPECT_NE(*book.in_the_way(Uid{1001}), flow_from(0));
}

TEST(UdpBook, who_has_filled_it_makes_room_for_others) {
    UdpBook book;
    const Uid alice{1001}, bob{1002}, carol{1003};
    const auto allow = [&](std::size_t number, Uid user) {
        auto flow = flow_from(static_cast<Port>(number));
        flow.destination.port = static_cast<Port>(number >> 16);
        flow.source.address = *Address::parse(user == bob ? "10.77.0.3" : "10.77.0.4");
        if (const auto other = book.in_the_way(user))
            book.erase(*other);
        book.add(flow, {book.next_lease(), Keeper::ethernet, Cookie{number}, user, {}});
    };
    for (std::size_t i = 0; i < nft::room_for_udp; ++i)
        allow(i, bob);
    for (std::size_t i = 0; i < 2000; ++i)
        allow(1'000'000 + i, i % 2 == 0 ? alice : carol);
    const auto of = [&](Uid user) {
        return std::ranges::count_if(book.flows(),
                                     [&](const auto& each) { return each.second.user == user; });
    };
    EXPECT_EQ(of(alice), 1000);
    EXPECT_EQ(of(carol), 1000);
    allow(2'000'000, bob); // at his own cost
    EXPECT_EQ(of(alice) + of(carol), 2000);
    EXPECT_EQ(book.flows().size(), nft::room_for_udp);
}

} // namespace
} // namespace ubf
