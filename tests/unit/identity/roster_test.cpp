#include "identity/world.hpp"

#include "identity/armour.hpp"
#include "identity/roster.hpp"

#include <chrono>
#include <fmt/format.h>

namespace ubf::identity {
namespace {

using namespace test;

Octets roster_of(const std::vector<Certificate>& certificates, std::vector<Serial> revoked = {},
                 std::uint64_t number = 3) {
    std::vector<Octets> list;
    for (const auto& each : certificates)
        list.push_back(*sign(each, authority()));
    return *sign_roster(number, now, list, std::move(revoked), authority());
}

TEST(Rosters, another_program_signs_the_same_bytes) {
    auto login = granter();
    login.name = "login-2.site";
    login.node_class = "login";
    login.addresses = {prefix("10.1.0.0/24"), prefix("fd00::2")};
    EXPECT_EQ(armour(Kind::roster, roster_of({login, certificate()}, {Serial{5}, Serial{4}})),
              vector_file("roster"));
}

TEST(Rosters, a_node_is_found_by_its_address) {
    auto range = certificate(3, 8);
    range.addresses = {prefix("10.0.0.0/24"), prefix("fd00::/64")};
    const auto roster = Roster::read(roster_of({certificate(), range}), authorities());
    ASSERT_TRUE(roster);
    EXPECT_EQ(roster->number(), 3u);
    EXPECT_EQ(roster->signed_at(), now);
    const auto name = [&](std::string_view address) {
        const auto found = roster->at(*Address::parse(address));
        return found.empty() ? std::string() : found.front()->name;
    };
    EXPECT_EQ(name("10.0.0.1"), "n1"); // the longest prefix
    EXPECT_EQ(name("10.0.0.2"), "n3");
    EXPECT_EQ(name("fd00::7"), "n3");
    EXPECT_EQ(name("fd01::7"), "");
    EXPECT_EQ(name("10.0.1.1"), "");
    EXPECT_EQ(roster->find(Serial{8})->name, "n3");
    EXPECT_EQ(roster->find(Serial{9}), nullptr);
}

TEST(Rosters, a_node_that_changes_its_key_has_two_certificates) {
    auto next = certificate(1, 8);
    next.key = NodeKey(seed(5)).public_key();
    const auto roster = Roster::read(roster_of({certificate(), next}), authorities());
    EXPECT_EQ(roster->at(*Address::parse("10.0.0.1")).size(), 2u);
}

TEST(Rosters, a_revoked_serial_speaks_from_nowhere) {
    const auto roster =
        Roster::read(roster_of({certificate(1, 7), certificate(2, 8)}, {Serial{7}}), authorities());
    EXPECT_TRUE(roster->is_revoked(Serial{7}));
    EXPECT_FALSE(roster->is_revoked(Serial{8}));
    EXPECT_TRUE(roster->at(*Address::parse("10.0.0.1")).empty());
    EXPECT_EQ(roster->at(*Address::parse("10.0.0.2")).size(), 1u);
    EXPECT_EQ(roster->find(Serial{7}), nullptr);
}

TEST(Rosters, no_bit_can_be_changed_and_no_byte_cut_off) {
    each_damage(roster_of({certificate(1, 7), certificate(2, 8)}, {Serial{7}}),
                [](const Octets& damaged) { EXPECT_FALSE(Roster::read(damaged, authorities())); });
}

TEST(Rosters, one_of_another_cluster_or_older_than_the_last_is_refused) {
    const auto bytes = roster_of({certificate()});
    EXPECT_EQ(Roster::read(bytes, {SigningKey(seed(0x0b)).verify_key()}).error(),
              Fault::other_authority);
    for (const std::uint64_t number : {2, 3, 4}) {
        const auto before =
            Roster::read(*sign_roster(number, now, {}, {}, authority()), authorities());
        const auto read = Roster::read(bytes, authorities(), &*before);
        EXPECT_EQ(read ? std::nullopt : std::optional(read.error()),
                  number <= 3 ? std::nullopt : std::optional(Fault::older));
    }
}

// An authority that takes another's place begins with 1 again.
TEST(Rosters, those_of_two_authorities_are_compared_by_their_time) {
    const SigningKey old(seed(0x0b));
    const Authorities both{authority().verify_key(), old.verify_key()};
    const auto before = Roster::read(*sign_roster(50, now, {}, {}, old), both);
    EXPECT_TRUE(Roster::read(*sign_roster(1, now, {}, {}, authority()), both, &*before));
    EXPECT_EQ(Roster::read(*sign_roster(99, now - Seconds(1), {}, {}, authority()), both, &*before)
                  .error(),
              Fault::older);
}

// The roster's signature is good for its certificates, but not for those of an authority that is
// given up.
TEST(Rosters, certificates_of_an_authority_that_is_given_up_are_left_out) {
    const SigningKey old(seed(0x0b));
    const std::vector<Octets> list{*sign(certificate(1, 7), old),
                                   *sign(certificate(2, 8), authority())};
    const auto bytes = *sign_roster(1, now, list, {}, authority());
    EXPECT_EQ(Roster::read(bytes, authorities())->certificates().size(), 1u);
    EXPECT_EQ(
        Roster::read(bytes, {authority().verify_key(), old.verify_key()})->certificates().size(),
        2u);
}

TEST(Rosters, a_serial_stands_there_once) {
    const std::vector<Octets> twice{*sign(certificate(1, 7), authority()),
                                    *sign(certificate(2, 7), authority())};
    EXPECT_FALSE(sign_roster(1, now, twice, {}, authority()));
    EXPECT_FALSE(sign_roster(1, now, std::vector<Octets>{{1, 2, 3}}, {}, authority()));
}

TEST(Rosters, ten_thousand_nodes_are_read_in_less_than_a_second) {
    std::vector<Octets> list;
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        auto made = certificate(1, i + 1);
        made.name = "node" + std::to_string(i);
        made.addresses = {prefix(fmt::format("10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255))};
        list.push_back(*sign(made, authority()));
    }
    const auto bytes = *sign_roster(1, now, list, {}, authority());
    EXPECT_LT(bytes.size(), 2'000'000u);
    const auto text = armour(Kind::roster, bytes);
    const auto begin = std::chrono::steady_clock::now();
    const auto roster = Roster::read(*unarmour(Kind::roster, text, max_roster), authorities());
    const auto took = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(roster);
    EXPECT_EQ(roster->at(*Address::parse("10.0.39.15")).front()->name, "node9999");
    EXPECT_LT(took, std::chrono::seconds(1));
    RecordProperty("milliseconds", static_cast<int>(took / std::chrono::milliseconds(1)));
}

} // namespace
} // namespace ubf::identity
