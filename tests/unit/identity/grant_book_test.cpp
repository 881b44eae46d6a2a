// The grants of other nodes: which of them are kept, and for how long they count.
#include "daemon/ident/grant_book.hpp"

#include "identity/world.hpp"

namespace ubf::ident {
namespace {

using namespace identity::test;
using identity::Grant;
using identity::Roster;
using identity::Seconds;
using identity::Serial;

constexpr Uid alice{1000};

Roster roster_with(const std::vector<identity::Certificate>& certificates,
                   const std::vector<Serial>& revoked = {}) {
    std::vector<Octets> bytes;
    for (const auto& each : certificates)
        bytes.push_back(*sign(each, authority()));
    return *Roster::read(*identity::sign_roster(3, now, bytes, revoked, authority()),
                         authorities());
}

struct GrantBookTest : testing::Test {
    GrantBook book;
    Rate rate;
    GrantBook::When when{TimePoint(std::chrono::hours(24)), now};
    const Roster roster = roster_with({granter()});

    static Octets by(std::uint8_t node, std::uint64_t serial, Seconds lasts) {
        const Grant grant{Serial{serial}, alice, 77, {now, now + lasts}, "n1"};
        return *sign(grant, identity::NodeKey(seed(node)).signer());
    }
    void take(const Octets& grant, const Roster& by) { book.take({grant}, "n1", by, rate, when); }
    std::optional<Seconds> until(const Roster& by, Seconds at = now) const {
        const auto found = book.find("n1", alice, by, at);
        return found.empty() ? std::nullopt : std::optional(found.front().valid.until);
    }
};

TEST_F(GrantBookTest, a_grant_counts_for_its_node_and_user_until_it_ends) {
    take(by(2, 9, Seconds(60)), roster);
    EXPECT_EQ(until(roster), now + Seconds(60));
    EXPECT_FALSE(until(roster, now + Seconds(60)));
    EXPECT_TRUE(book.find("n2", alice, roster, now).empty());
    EXPECT_TRUE(book.find("n1", Uid{1001}, roster, now).empty());
}

TEST_F(GrantBookTest, a_node_brings_no_grant_of_another_node) {
    book.take({by(2, 9, Seconds(60))}, "n2", roster, rate, when);
    EXPECT_FALSE(until(roster));
    EXPECT_TRUE(book.find("n2", alice, roster, now).empty());
}

TEST_F(GrantBookTest, a_later_one_takes_the_place_of_an_earlier) {
    take(by(2, 9, Seconds(60)), roster);
    take(by(2, 9, Seconds(90)), roster);
    take(by(2, 9, Seconds(30)), roster);
    EXPECT_EQ(until(roster), now + Seconds(90));
}

TEST_F(GrantBookTest, one_of_a_granter_that_is_revoked_counts_no_more_and_makes_room) {
    auto other = granter();
    other.serial = Serial{10};
    other.name = "n3";
    take(by(2, 9, Seconds(90)), roster);
    const auto later = roster_with({other}, {Serial{9}});
    EXPECT_FALSE(until(later));
    take(by(2, 10, Seconds(60)), later);
    EXPECT_EQ(until(later), now + Seconds(60));
}

TEST_F(GrantBookTest, it_ends_with_its_granters_certificate) {
    take(by(2, 9, Seconds(200'000'000)), roster);
    EXPECT_EQ(until(roster), granter().valid.until);
}

TEST_F(GrantBookTest, each_peer_may_have_few_checked_a_second) {
    for (int i = 1; i <= 200; ++i)
        take(by(2, 9, Seconds(i)), roster);
    EXPECT_EQ(until(roster), now + Seconds(50));
    when.now += std::chrono::seconds(1);
    take(by(2, 9, Seconds(201)), roster);
    EXPECT_EQ(until(roster), now + Seconds(201));
}

TEST_F(GrantBookTest, own_grants_go_along_with_answers_about_their_users) {
    const auto grant = by(2, 9, Seconds(60));
    book.set_own({{alice, {grant}}});
    Datagram datagram;
    datagram.entries = std::vector<Answer>{{Nonce{1}, Owner::user(alice)},
                                           {Nonce{2}, Owner::user(alice)},
                                           {Nonce{3}, Owner::user(Uid{1001})}};
    EXPECT_EQ(book.of(datagram), Grants{grant});
    datagram.entries = std::vector<Answer>{{Nonce{1}, Owner::kernel()}};
    EXPECT_TRUE(book.of(datagram).empty());
    datagram.entries = std::vector<Question>{};
    EXPECT_TRUE(book.of(datagram).empty());
}

} // namespace
} // namespace ubf::ident
