#include "identity/vouching.hpp"

#include "identity/armour.hpp"
#include "identity/request.hpp"
#include "identity/world.hpp"

namespace ubf::identity {
namespace {

using namespace test;

Grant grant() {
    return {Serial{9}, Uid{1000}, 77, {now, now + Seconds(3600)}, "n1"};
}
const SigningKey& scheduler() {
    static const SigningKey key = NodeKey(seed(2)).signer();
    return key;
}

TEST(Grants, another_program_signs_the_same_bytes) {
    EXPECT_EQ(armour(Kind::grant, *sign(grant(), scheduler())), vector_file("grant"));
    EXPECT_LE(sign(grant(), scheduler())->size(), 120u);
}

TEST(Grants, a_signed_one_reads_as_itself) {
    EXPECT_EQ(check_grant(*sign(grant(), scheduler()), granter(), now), grant());
}

TEST(Grants, no_bit_can_be_changed_and_no_byte_cut_off) {
    each_damage(*sign(grant(), scheduler()),
                [](const Octets& damaged) { EXPECT_FALSE(check_grant(damaged, granter(), now)); });
}

TEST(Grants, last_as_long_as_a_certificate_can) {
    auto made = grant();
    made.valid.until = Seconds((1LL << 40) - 1);
    EXPECT_TRUE(parse_grant(*sign(made, scheduler())));
    made.valid.until = Seconds(1LL << 40);
    EXPECT_FALSE(sign(made, scheduler()));
}

TEST(Grants, only_a_node_that_may_grant_does) {
    const auto bytes = *sign(grant(), scheduler());
    EXPECT_EQ(check_grant(bytes, certificate(2, 9), now).error(), Fault::no_granter);
    auto other = granter();
    other.serial = Serial{10};
    EXPECT_EQ(check_grant(bytes, other, now).error(), Fault::no_granter);
    EXPECT_EQ(check_grant(bytes, granter(), granter().valid.until).error(), Fault::expired);
    EXPECT_EQ(check_grant(bytes, granter(), Seconds(1)).error(), Fault::not_yet);
    const auto by_another = *sign(grant(), NodeKey(seed(1)).signer());
    EXPECT_EQ(check_grant(by_another, granter(), now).error(), Fault::forged);
}

const ClassRule compute{{{Uid{1000}, Uid{59999}}}, false, false, true};
const ClassRule login{{{Uid{0}, Uid{59999}}}, true, true, false};

Vouching vouch(const ClassRule& rule, const Vouched& owner, std::vector<Grant> grants = {},
               Seconds at = now) {
    return may_vouch(&rule, "n1", owner, grants, at);
}

TEST(Vouching, a_class_speaks_for_its_users_alone) {
    auto rule = compute;
    rule.jobs = false;
    EXPECT_EQ(vouch(rule, {false, Uid{1000}}), Vouching::counts);
    EXPECT_EQ(vouch(rule, {false, Uid{59999}}), Vouching::counts);
    EXPECT_EQ(vouch(rule, {false, Uid{0}}), Vouching::user);
    EXPECT_EQ(vouch(rule, {false, Uid{60000}}), Vouching::user);
    EXPECT_EQ(vouch(rule, {true}), Vouching::kernel);
    EXPECT_EQ(vouch(rule, {false, Uid{1000}, true}), Vouching::exempt);
    EXPECT_EQ(vouch(login, {true}), Vouching::counts);
    EXPECT_EQ(vouch(login, {false, Uid{0}, true}), Vouching::counts);
    EXPECT_EQ(may_vouch(nullptr, "n1", {false, Uid{1000}}, {}, now), Vouching::unknown_class);
}

TEST(Vouching, a_grant_is_for_one_user_at_one_node_for_a_time) {
    const Vouched user{false, Uid{1000}};
    EXPECT_EQ(vouch(compute, user), Vouching::no_grant);
    EXPECT_EQ(vouch(compute, user, {grant()}), Vouching::counts);
    EXPECT_EQ(vouch(compute, {false, Uid{1001}}, {grant()}), Vouching::no_grant);
    EXPECT_EQ(vouch(compute, user, {grant()}, now - Seconds(1)), Vouching::no_grant);
    EXPECT_EQ(vouch(compute, user, {grant()}, now + Seconds(3600)), Vouching::no_grant);
    auto elsewhere = grant();
    elsewhere.node = "n2";
    EXPECT_EQ(vouch(compute, user, {elsewhere}), Vouching::no_grant);
    EXPECT_EQ(vouch(compute, user, {elsewhere, grant()}), Vouching::counts);
    auto roots = grant();
    roots.uid = Uid{0};
    EXPECT_EQ(vouch(compute, {false, Uid{0}}, {roots}), Vouching::user);
}

Token token() {
    return {TokenNumber{0x1122334455667788}, seed(7)};
}

TEST(Requests, another_program_makes_the_same_bytes) {
    const auto bytes = *make_request("n1", NodeKey(seed(1)), token());
    EXPECT_EQ(armour(Kind::request, bytes), vector_file("request"));
    const auto request = check_request(bytes);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->name, "n1");
    EXPECT_EQ(request->key, NodeKey(seed(1)).public_key());
    EXPECT_EQ(request->token, token().number);
}

TEST(Requests, no_bit_can_be_changed_and_no_byte_cut_off) {
    each_damage(*make_request("n1", NodeKey(seed(1)), token()),
                [](const Octets& damaged) { EXPECT_FALSE(check_request(damaged)); });
    each_damage(*make_request("n1", NodeKey(seed(1)), std::nullopt),
                [](const Octets& damaged) { EXPECT_FALSE(check_request(damaged)); });
}

TEST(Requests, only_the_holder_of_a_token_makes_one_with_it) {
    const auto bytes = *make_request("n1", NodeKey(seed(1)), token());
    EXPECT_TRUE(is_made_with(bytes, token()));
    EXPECT_FALSE(is_made_with(bytes, {token().number, seed(8)}));
    // The proof is of the node's keys, so that nobody carries it over to another request.
    auto others = *make_request("n1", NodeKey(seed(3)), Token{token().number, seed(8)});
    std::copy_n(bytes.begin() + 78, 16, others.begin() + 78);
    EXPECT_FALSE(is_made_with(others, token()));
}

TEST(Requests, a_token_reads_as_itself) {
    const auto text = format_token(token());
    EXPECT_EQ(text.substr(0, 30), "ubf-token-1 1122334455667788 0");
    const auto read = parse_token(text + "\n");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->number, token().number);
    EXPECT_EQ(read->secret.bytes(), token().secret.bytes());
    for (std::size_t length = 0; length < text.size(); ++length)
        EXPECT_FALSE(parse_token(text.substr(0, length)));
}

} // namespace
} // namespace ubf::identity
