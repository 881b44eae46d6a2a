#include "ident/sealed.hpp"

#include "daemon/ident/identities.hpp"
#include "identity/world.hpp"

#include <array>
#include <chrono>
#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

using namespace identity::test;
using identity::NodeKey;
using identity::Seconds;

constexpr Seconds today = identity::test::now;

identity::Certificate certificate_of(std::uint8_t node, std::string node_class = "compute") {
    auto made = identity::test::certificate(node, node);
    made.node_class = std::move(node_class);
    made.valid = {today - Seconds(60), today + Seconds(3600)};
    made.authority = id_of(authority().verify_key());
    return made;
}

identity::Roster roster_of(const std::vector<identity::Certificate>& members,
                           std::vector<identity::Serial> revoked = {}, std::uint64_t number = 1) {
    std::vector<Octets> list;
    for (const auto& member : members)
        list.push_back(*sign(member, authority()));
    return *identity::Roster::read(
        *sign_roster(number, today, list, std::move(revoked), authority()), authorities());
}

Endpoint end_of(std::uint8_t node) {
    return {*Address::parse("10.0.0." + std::to_string(node)), 1017};
}

// A node with its identity.
struct Member {
    explicit Member(std::uint8_t node, bool required = true,
                    std::vector<identity::Certificate> listed = {certificate_of(1),
                                                                 certificate_of(2)},
                    const char* node_class = "compute")
      : number(node)
      , identities({{NodeKey(seed(node)), std::nullopt},
                    *sign(certificate_of(node, node_class), authority()),
                    certificate_of(node, node_class),
                    authorities(),
                    {{"compute", {{{Uid{1000}, Uid{1999}}}, false, false, false}},
                     {"alone", {{{Uid{1000}, Uid{1999}}}, false, false, false, false}},
                     {"jobs", {{{Uid{1000}, Uid{1999}}}, false, false, true}}},
                    required,
                    {[this] { return now; }, [this] { return wall; }}},
                   roster_of(listed)) {}

    // The bytes that this node sends to the other; nothing where they go under the cluster key.
    std::optional<Octets> send(const Member& to, Identities::Why why = Identities::Why::question,
                               Milliseconds late = {}) {
        const Datagram datagram{Channel::service, Channel::first_asker, wall - late,
                                std::vector<Answer>{{Nonce{7}, Owner::user(Uid{1000})}}};
        std::array<std::uint8_t, max_datagram> room;
        std::size_t first = 0;
        const auto bytes = identities.write(room, datagram, first, path_to(to), why);
        if (!bytes)
            return std::nullopt;
        EXPECT_EQ(first, 1u);
        return Octets(bytes->begin(), bytes->end());
    }
    Path path_to(const Member& to) const { return {end_of(number), end_of(to.number)}; }
    Result<Datagram, Rejection> read(const Octets& bytes, const Path& path) {
        return identities.read({path, 0, bytes});
    }
    Result<Identities::Introduced, Rejection> learn(const Octets& bytes, const Path& path) {
        return identities.learn({path, 0, bytes});
    }
    Octets introduce_to(const Member& to, const Identities::Introduced& by) {
        std::array<std::uint8_t, max_datagram> room;
        const auto bytes =
            identities.introduce_to(end_of(to.number).address, room, by.ask, by.theirs);
        return {bytes.begin(), bytes.end()};
    }

    void pass(Milliseconds time) {
        now += time;
        wall += time;
    }

    std::uint8_t number;
    TimePoint now{std::chrono::hours(1)};
    Milliseconds wall = today;
    Identities identities;
};

TEST(Identities, two_nodes_of_the_roster_need_no_handshake) {
    Member one(1);
    Member two(2);
    const auto bytes = one.send(two);
    ASSERT_TRUE(bytes && is_sealed(*bytes));
    const auto datagram = two.read(*bytes, one.path_to(two));
    ASSERT_TRUE(datagram);
    EXPECT_TRUE(datagram->sealed);
    EXPECT_EQ(datagram->from, Channel::first_asker);
    const auto& answers = std::get<std::vector<Answer>>(datagram->entries);
    EXPECT_EQ(answers.at(0).owner.uid, Uid{1000});
    EXPECT_EQ(two.identities.proof(end_of(1).address).name, "n1");
    EXPECT_FALSE(one.identities.proof(end_of(2).address).by_certificate);
}

TEST(Identities, no_bit_can_be_changed_and_no_byte_cut_off) {
    Member one(1);
    Member two(2);
    each_damage(*one.send(two), [&](const Octets& damaged) {
        EXPECT_FALSE(is_sealed(damaged) && two.read(damaged, one.path_to(two)));
    });
}

TEST(Identities, a_datagram_is_for_its_ends_alone) {
    Member one(1);
    Member two(2);
    const auto bytes = *one.send(two);
    auto path = one.path_to(two);
    path.to.port = 1018;
    EXPECT_FALSE(two.read(bytes, path));
    path = one.path_to(two);
    path.from = end_of(3); // an address that no certificate has
    EXPECT_EQ(two.read(bytes, path).error(), Rejection::no_certificate);
    path.from = end_of(2); // another node's
    EXPECT_EQ(two.read(bytes, path).error(), Rejection::no_certificate);
    EXPECT_FALSE(one.read(bytes, one.path_to(two))); // in the other direction
}

TEST(Identities, each_epoch_has_its_own_key) {
    Member one(1);
    Member two(2);
    for (const auto late : {Milliseconds{0}, Milliseconds{1 << 22}, Milliseconds{0}})
        EXPECT_TRUE(two.read(*one.send(two, Identities::Why::question, late), one.path_to(two)));
}

TEST(Identities, a_revoked_certificate_counts_no_more) {
    Member one(1);
    Member two(2);
    const auto bytes = *one.send(two);
    EXPECT_TRUE(two.read(bytes, one.path_to(two)));
    two.identities.set_roster(
        roster_of({certificate_of(1), certificate_of(2)}, {identity::Serial{1}}, 2));
    EXPECT_EQ(two.read(bytes, one.path_to(two)).error(), Rejection::no_certificate);
    EXPECT_FALSE(two.identities.proof(end_of(1).address).by_certificate);
}

TEST(Identities, nodes_that_no_roster_has_introduce_themselves) {
    Member one(1, true, {});
    Member two(2, true, {});
    const auto hello = *one.send(two);
    ASSERT_TRUE(introduction_of(hello));
    const auto learnt = two.learn(hello, one.path_to(two));
    ASSERT_TRUE(learnt && learnt->counts);
    EXPECT_TRUE(learnt->answer); // it asks for the other's
    EXPECT_FALSE(learnt->ask);
    EXPECT_FALSE(two.identities.proof(end_of(1).address).by_certificate); // and proves nothing
    const auto back = one.learn(two.introduce_to(one, *learnt), two.path_to(one));
    EXPECT_TRUE(back && back->counts && !back->answer);
    const auto bytes = *one.send(two);
    EXPECT_FALSE(introduction_of(bytes));
    EXPECT_TRUE(two.read(bytes, one.path_to(two)));
    EXPECT_EQ(two.identities.proof(end_of(1).address).name, "n1");
    auto elsewhere = one.path_to(two);
    elsewhere.from = end_of(9); // the certificate has no such address
    EXPECT_EQ(two.learn(hello, elsewhere).error(), Rejection::no_certificate);
}

TEST(Identities, a_certificate_that_was_introduced_counts_until_it_ends) {
    Member one(1, true, {});
    Member two(2, true, {});
    EXPECT_TRUE(two.learn(*one.send(two), one.path_to(two))->counts);
    EXPECT_TRUE(one.learn(two.introduce_to(one, {true, true}), two.path_to(one))->counts);
    EXPECT_TRUE(two.read(*one.send(two), one.path_to(two)));
    const auto left = certificate_of(1).valid.until - std::chrono::duration_cast<Seconds>(two.wall);
    two.pass(left + std::chrono::seconds(1));
    one.pass(left + std::chrono::seconds(1));
    EXPECT_FALSE(two.identities.proof(end_of(1).address).by_certificate);
    EXPECT_TRUE(introduction_of(*two.send(one))); // it asks for the next certificate
}

TEST(Identities, a_peer_is_greeted_once_in_a_while) {
    const auto greets = [](Member& member, Member& peer) {
        std::array<std::uint8_t, max_datagram> room;
        return member.identities.greet(room, member.path_to(peer), true).has_value();
    };
    using std::chrono::milliseconds;
    Member one(1);
    for (const bool required : {true, false}) {
        Member two(2, required, {}); // without a certificate, one may be of an older ubfd
        const milliseconds between(required ? 1000 : 30'000);
        EXPECT_TRUE(greets(two, one));
        two.pass(between - milliseconds(1));
        EXPECT_FALSE(greets(two, one));
        two.pass(milliseconds(1));
        EXPECT_TRUE(greets(two, one));
    }
}

TEST(Identities, a_peer_that_leaves_what_is_sealed_without_an_answer_gets_the_next_unsealed) {
    Member one(1, false);
    Member two(2, false);
    std::array<std::uint8_t, max_datagram> room;
    const auto hello = two.identities.greet(room, two.path_to(one), false);
    EXPECT_TRUE(one.read(Octets(hello->begin(), hello->end()), two.path_to(one)));
    EXPECT_TRUE(one.send(two));
    one.pass(Milliseconds(150));
    EXPECT_TRUE(one.send(two));
    one.pass(Milliseconds(1));
    EXPECT_FALSE(one.send(two));
}

// Forged certificates, which any machine of the network sends in a peer's name. Returns how often
// the peer is asked for its own.
int flood(Member& node, Octets introduction, const Path& path) {
    introduction.back() ^= 1; // of the signature
    int asked = 0;
    for (int i = 0; i < 600; ++i)
        if (const auto learnt = node.learn(introduction, path))
            asked += learnt->ask ? 1 : 0;
    return asked;
}

TEST(Identities, a_flood_in_its_name_keeps_out_no_node_that_no_roster_has) {
    Member one(1, true, {});
    Member two(2, true, {});
    const auto hello = *one.send(two);
    const auto path = one.path_to(two);
    const auto forged = *two.send(one);
    EXPECT_EQ(flood(one, forged, two.path_to(one)), 1); // both are flooded, and ask once a second
    EXPECT_EQ(flood(two, hello, path), 1);

    const auto of_two = two.learn(hello, path);
    ASSERT_TRUE(of_two && !of_two->counts && of_two->answer);
    const auto of_one = one.learn(two.introduce_to(one, *of_two), two.path_to(one));
    ASSERT_TRUE(of_one && of_one->counts); // it sent back the cookie of `hello`
    const auto asked = two.introduce_to(one, {false, true, true, {}});
    const auto answer = one.learn(asked, two.path_to(one));
    ASSERT_TRUE(answer && answer->counts && answer->answer);
    const auto bytes = one.introduce_to(two, *answer);
    EXPECT_TRUE(two.learn(bytes, path)->counts);
    EXPECT_TRUE(two.read(*one.send(two), path));
}

TEST(Identities, a_cookie_is_good_for_few_checks_and_for_its_peer) {
    Member one(1, true, {});
    Member two(2, true, {});
    const auto hello = *one.send(two);
    const auto path = one.path_to(two);
    flood(two, hello, path);
    two.pass(std::chrono::milliseconds(999)); // of the second of the flood
    const auto asked = introduction_of(two.introduce_to(one, {false, true, true, {}}));
    auto back = one.introduce_to(two, {true, true, false, asked->own});
    auto other = path;
    other.from = end_of(3);
    EXPECT_FALSE(two.learn(back, other) && two.learn(back, other)->counts);
    back.back() ^= 1;
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(two.learn(back, path).error(), Rejection::no_certificate); // checked
    back.back() ^= 1;
    EXPECT_FALSE(two.learn(back, path)->counts);
    two.pass(std::chrono::seconds(1));
    EXPECT_TRUE(two.learn(back, path)->counts);
}

TEST(Identities, until_certificates_are_required_a_peer_shows_that_it_seals) {
    Member one(1, false);
    Member two(2, false);
    EXPECT_FALSE(one.send(two)); // under the cluster key
    std::array<std::uint8_t, max_datagram> room;
    const auto hello = two.identities.greet(room, two.path_to(one), false);
    ASSERT_TRUE(hello);
    EXPECT_FALSE(two.identities.greet(room, two.path_to(one), false)); // not again at once
    EXPECT_TRUE(one.read(Octets(hello->begin(), hello->end()), two.path_to(one)));
    EXPECT_TRUE(one.send(two));
    EXPECT_FALSE(one.send(two, Identities::Why::clear_reply)); // in the way that was asked
    EXPECT_TRUE(one.send(two, Identities::Why::reply));
}

TEST(Identities, a_peer_is_barred_once_its_certificate_is_revoked) {
    Member one(1);
    Member two(2);
    EXPECT_FALSE(two.identities.is_barred(end_of(1).address));
    EXPECT_TRUE(two.read(*one.send(two), one.path_to(two)));
    EXPECT_FALSE(two.identities.is_barred(end_of(1).address));
    two.identities.set_roster(
        roster_of({certificate_of(1), certificate_of(2)}, {identity::Serial{1}}, 2));
    EXPECT_TRUE(two.identities.is_barred(end_of(1).address));
    auto next = certificate_of(1); // a new certificate
    next.serial = identity::Serial{9};
    two.identities.set_roster(roster_of({next, certificate_of(2)}, {identity::Serial{1}}, 3));
    EXPECT_FALSE(two.identities.is_barred(end_of(1).address));
}

TEST(Identities, grants_go_along_with_answers_about_their_users) {
    const NodeKey scheduler(seed(3));
    auto may_grant = certificate_of(3, "service");
    may_grant.grants = scheduler.signer().verify_key();
    const std::vector<identity::Certificate> all{certificate_of(1, "jobs"), certificate_of(2),
                                                 may_grant};
    Member one(1, true, all, "jobs");
    Member two(2, true, all);
    const auto grant = [&](std::uint32_t uid, const char* node) {
        return *sign(
            identity::Grant{
                may_grant.serial, Uid{uid}, 7, {today - Seconds(60), today + Seconds(60)}, node},
            scheduler.signer());
    };
    const auto word = [&] {
        const auto read = two.read(*one.send(two), one.path_to(two));
        EXPECT_TRUE(read);
        auto owner = Owner::user(Uid{1000});
        two.identities.judge(read->by, owner);
        auto again = Owner::user(Uid{1000});
        two.identities.judge_again(end_of(1).address, again);
        EXPECT_EQ(owner.word, again.word);
        return owner.word;
    };
    EXPECT_EQ(word(), Word::no_grant);
    one.identities.set_grants({{Uid{1001}, {grant(1000, "n1")}}}); // goes along with another user
    EXPECT_EQ(word(), Word::no_grant);
    one.identities.set_grants({{Uid{1000}, {grant(1001, "n1"), grant(1000, "n2")}}});
    EXPECT_EQ(word(), Word::no_grant);
    one.identities.set_grants({{Uid{1000}, {grant(1000, "n1")}}});
    EXPECT_EQ(word(), Word::counts);
    one.identities.set_grants({});
    EXPECT_EQ(word(), Word::counts); // until its time is over
    two.identities.set_roster(roster_of(all, {may_grant.serial}, 2));
    EXPECT_EQ(word(), Word::no_grant);
}

TEST(Identities, a_nodes_word_counts_for_the_users_of_its_class) {
    Member one(1);
    Member two(2);
    const auto read = two.read(*one.send(two), one.path_to(two));
    ASSERT_TRUE(read);
    const auto word = [&](Owner owner, bool sealed = true) {
        two.identities.judge(sealed ? read->by : nullptr, owner);
        return std::pair(owner.word, owner.may_be_exempt);
    };
    EXPECT_EQ(word(Owner::user(Uid{1000})), std::pair(Word::counts, false));
    EXPECT_EQ(word(Owner::user(Uid{0})), std::pair(Word::no_class, false));
    EXPECT_EQ(word(Owner::kernel()), std::pair(Word::no_class, false));
    EXPECT_EQ(word(Owner{}), std::pair(Word::counts, true)); // it names nobody
    EXPECT_EQ(word(Owner::user(Uid{0}), false), std::pair(Word::counts, true));
}

TEST(Identities, groups_count_unless_the_class_says_otherwise) {
    Member one(1, true, {certificate_of(1, "alone"), certificate_of(2)}, "alone");
    Member two(2, true, {certificate_of(1, "alone"), certificate_of(2)});
    const auto read = two.read(*one.send(two), one.path_to(two));
    ASSERT_TRUE(read);
    auto owner = Owner::user(Uid{1000});
    owner.credentials.emplace().gid = Gid{100};
    owner.credentials->groups = {Gid{101}};
    owner.credentials->labels = {{LabelOrigin::slurm, "a"}};
    owner.credentials->labels_known = true;
    two.identities.judge(read->by, owner);
    EXPECT_EQ(owner.word, Word::counts);
    EXPECT_FALSE(owner.credentials->gid);
    EXPECT_TRUE(owner.credentials->groups.empty() && owner.credentials->labels.empty());
    EXPECT_FALSE(owner.credentials->labels_known);
}

} // namespace
} // namespace ubf::ident
