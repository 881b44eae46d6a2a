#include "identity/world.hpp"

#include "identity/armour.hpp"

namespace ubf::identity {
namespace {

using namespace test;

Octets unarmoured(Kind kind, const std::string& name) {
    const auto bytes = unarmour(kind, vector_file(name), max_certificate);
    EXPECT_TRUE(bytes);
    return bytes.value_or(Octets{});
}

TEST(Certificates, another_program_signs_the_same_bytes) {
    EXPECT_EQ(parse_authority(vector_file("authority").substr(0, 80)), authority().verify_key());
    EXPECT_EQ(sign(certificate(), authority()), unarmoured(Kind::certificate, "n1.crt"));
    auto login = granter();
    login.name = "login-2.site";
    login.node_class = "login";
    login.addresses = {prefix("10.1.0.0/24"), prefix("fd00::2")};
    EXPECT_EQ(sign(login, authority()), unarmoured(Kind::certificate, "login.crt"));
    EXPECT_EQ(armour(Kind::certificate, *sign(login, authority())), vector_file("login.crt"));
}

TEST(Certificates, a_signed_one_reads_as_itself) {
    for (const auto& made : {certificate(), granter()}) {
        const auto read = check_certificate(*sign(made, authority()), authorities());
        ASSERT_TRUE(read);
        auto expected = made;
        expected.authority = id_of(authority().verify_key());
        EXPECT_EQ(*read, expected);
    }
}

TEST(Certificates, no_bit_can_be_changed_and_no_byte_cut_off) {
    for (const auto& made : {certificate(), granter()})
        each_damage(*sign(made, authority()), [](const Octets& damaged) {
            EXPECT_FALSE(check_certificate(damaged, authorities()));
        });
}

TEST(Certificates, one_of_another_cluster_is_refused_by_its_name) {
    const SigningKey other(seed(0x0b));
    const auto bytes = *sign(certificate(), other);
    EXPECT_EQ(check_certificate(bytes, authorities()).error(), Fault::other_authority);
    EXPECT_EQ(check_certificate(bytes, {}).error(), Fault::other_authority);
}

// A holder of another key writes the name of ours into it.
TEST(Certificates, one_that_is_signed_again_by_another_is_forged) {
    const SigningKey other(seed(0x0b));
    auto bytes = *sign(certificate(), authority());
    bytes.resize(bytes.size() - signature_size);
    const auto signature = other.sign(bytes);
    bytes.insert(bytes.end(), signature.begin(), signature.end());
    EXPECT_EQ(check_certificate(bytes, authorities()).error(), Fault::forged);
}

TEST(Certificates, two_authorities_are_accepted_while_one_follows_the_other) {
    const SigningKey next(seed(0x0b));
    const Authorities both{authority().verify_key(), next.verify_key()};
    EXPECT_TRUE(check_certificate(*sign(certificate(), authority()), both));
    EXPECT_TRUE(check_certificate(*sign(certificate(), next), both));
}

TEST(Certificates, the_time_has_a_beginning_and_an_end) {
    const auto valid = certificate().valid;
    EXPECT_EQ(valid.fault(Seconds(1'699'999'999)), Fault::not_yet);
    EXPECT_EQ(valid.fault(Seconds(1'700'000'000)), std::nullopt);
    EXPECT_EQ(valid.fault(Seconds(1'799'999'999)), std::nullopt);
    EXPECT_EQ(valid.fault(Seconds(1'800'000'000)), Fault::expired);
}

TEST(Certificates, only_a_canonical_one_is_signed) {
    const auto refused = [](auto change) {
        auto made = certificate();
        change(made);
        return !sign(made, authority());
    };
    EXPECT_FALSE(refused([](Certificate&) {}));
    EXPECT_TRUE(refused([](Certificate& c) { c.name = ""; }));
    EXPECT_TRUE(refused([](Certificate& c) { c.name = "N1"; }));
    EXPECT_TRUE(refused([](Certificate& c) { c.name = std::string(64, 'a'); }));
    EXPECT_TRUE(refused([](Certificate& c) { c.node_class = "a b"; }));
    EXPECT_TRUE(refused([](Certificate& c) { c.addresses.clear(); }));
    EXPECT_TRUE(refused([](Certificate& c) { c.addresses.assign(17, prefix("10.0.0.0/8")); }));
    EXPECT_TRUE(refused([](Certificate& c) {
        c.addresses = {prefix("10.0.0.2"), prefix("10.0.0.1")};
    }));
    EXPECT_TRUE(refused([](Certificate& c) { c.valid.until = c.valid.from; }));
    EXPECT_TRUE(refused([](Certificate& c) { c.valid.from = Seconds(-1); }));
    EXPECT_TRUE(refused([](Certificate& c) { c.valid.until = Seconds(1LL << 40); }));
    auto last = certificate();
    last.valid.until = Seconds((1LL << 40) - 1);
    EXPECT_TRUE(parse_certificate(*sign(last, authority())));
}

TEST(Certificates, the_largest_one_has_the_size_that_is_stated) {
    auto made = granter();
    made.name = std::string(max_name, 'n');
    made.node_class = std::string(max_class, 'c');
    made.addresses.clear();
    for (int i = 0; i < static_cast<int>(max_prefixes); ++i)
        made.addresses.push_back(prefix("fd00::" + std::to_string(i + 10)));
    made.addresses = in_order(made.addresses);
    const auto bytes = *sign(made, authority());
    EXPECT_EQ(bytes.size(), max_certificate);
    EXPECT_TRUE(check_certificate(bytes, authorities()));
}

TEST(Armour, a_text_has_one_thing_of_the_kind_that_is_asked_for) {
    const auto bytes = *sign(certificate(), authority());
    const auto text = armour(Kind::certificate, bytes);
    EXPECT_EQ(unarmour(Kind::certificate, text, max_certificate), bytes);
    EXPECT_EQ(unarmour(Kind::certificate, "\n\n" + text + "\r\n", max_certificate), bytes);
    EXPECT_FALSE(unarmour(Kind::roster, text, max_certificate));
    EXPECT_FALSE(unarmour(Kind::certificate, text, bytes.size() - 1));
    EXPECT_FALSE(unarmour(Kind::certificate, text + text, 4096));
    EXPECT_FALSE(unarmour(Kind::certificate, "x" + text, max_certificate));
    EXPECT_FALSE(unarmour(Kind::certificate, text + "x", max_certificate));
    for (std::size_t length = 0; length + 1 < text.size(); ++length)
        EXPECT_FALSE(unarmour(Kind::certificate, text.substr(0, length), max_certificate));
}

TEST(NodeKeys, the_current_one_stands_before_its_predecessor) {
    const auto one = format_node_key(NodeKey(seed(1)));
    const auto two = format_node_key(NodeKey(seed(2)));
    const auto both = parse_node_keys("# mine\n\n" + two + "\n" + one + "\n");
    ASSERT_TRUE(both.keys && both.keys->previous);
    EXPECT_EQ(both.keys->current.public_key(), NodeKey(seed(2)).public_key());
    EXPECT_EQ(both.keys->previous->public_key(), NodeKey(seed(1)).public_key());
    EXPECT_EQ(parse_node_keys(one + "\n" + one + "\n" + one).line, 3u);
    EXPECT_EQ(parse_node_keys("\n" + one.substr(1)).line, 2u);
    EXPECT_FALSE(parse_node_keys("").keys);
}

} // namespace
} // namespace ubf::identity
