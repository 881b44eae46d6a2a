#include "daemon/recognition/terms.hpp"
#include "flow/own_address.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

Key make_key() {
    Key::Bytes bytes{};
    bytes.fill(0x11);
    return Key(bytes);
}

const KeyRing keys{make_key(), std::nullopt};
constexpr Uid alice{2001};

Config config_of(const std::string& text) {
    return parse_config("[peers]\nranges = [\"10.0.0.0/8\"]\n" + text, "test", Names::pass_over);
}

RecognitionTerms terms_of(const std::string& text) {
    return recognition_terms(config_of(text), keys);
}

bool recognises(const RecognitionTerms& terms, const char* source, Uid uid = alice,
                ubf_recognition_side side = UBF_SIDE_ETHERNET) {
    return is_recognised(terms, side, *Address::parse(source), uid);
}

TEST(RecognitionTerms, of_the_defaults_are_all_users_and_peers_and_this_node) {
    const auto terms = terms_of("");
    EXPECT_EQ(terms.why_not, "");
    EXPECT_TRUE(recognises(terms, "10.1.2.3"));
    EXPECT_TRUE(recognises(terms, "10.1.2.3", alice, UBF_SIDE_FABRIC));
    EXPECT_TRUE(recognises(terms, "127.0.0.1"));
    EXPECT_TRUE(recognises(terms, "::1"));
}

TEST(RecognitionTerms, are_never_root_nor_addresses_of_nobody) {
    const auto terms = terms_of("");
    EXPECT_FALSE(recognises(terms, "10.1.2.3", Uid{0}));
    EXPECT_FALSE(recognises(terms, "192.0.2.1"));
}

TEST(RecognitionTerms, leave_out_peers_that_are_not_ready_and_those_that_never_are) {
    const auto terms = terms_of("except = [\"10.9.0.0/16\"]\nunready = [\"10.1.0.0/16\"]\n");
    EXPECT_FALSE(recognises(terms, "10.9.2.3"));
    EXPECT_FALSE(recognises(terms, "10.1.2.3"));
    EXPECT_TRUE(recognises(terms, "10.2.2.3"));
}

TEST(RecognitionTerms, leave_out_those_that_are_not_ready_however_their_range_is_cut) {
    const auto terms = terms_of("except = [\"10.1.2.4/32\"]\nunready = [\"10.1.0.0/16\"]\n");
    EXPECT_FALSE(recognises(terms, "10.1.2.3"));
    EXPECT_TRUE(recognises(terms, "10.2.2.3"));
}

TEST(RecognitionTerms, have_no_cluster_key_where_certificates_are_required) {
    const auto terms = terms_of("[ident]\nrequire_certificates = true\n[identity]\nkey = \"/k\"\n"
                                "certificate = \"/c\"\nauthorities = [\"ubf-authority-1 " +
                                std::string(64, 'a') + "\"]\n");
    EXPECT_TRUE(recognises(terms, "10.1.2.3"));
    EXPECT_FALSE(terms.agreed.keys[0].is_there);
    for (const auto& peers : terms.peers)
        EXPECT_EQ(peers.proof,
                  is_loopback(peers.range.first()) ? UBF_PROOF_CLUSTER : UBF_PROOF_PAIR);
    EXPECT_TRUE(terms_of("").agreed.keys[0].is_there);
}

TEST(RecognitionTerms, leave_out_the_exempt) {
    const auto terms = terms_of("[policy]\nexempt_listeners = [\"100-200\"]\n"
                                "exempt_connectors = [\"300\"]\n");
    EXPECT_FALSE(recognises(terms, "10.1.2.3", Uid{150}));
    EXPECT_FALSE(recognises(terms, "10.1.2.3", Uid{300}));
    EXPECT_TRUE(recognises(terms, "10.1.2.3", Uid{201}));
}

TEST(RecognitionTerms, leave_out_the_users_of_portals) {
    const auto terms = terms_of("[portal]\nusers = [33]\n");
    EXPECT_FALSE(is_recognised(terms, Uid{33}));
    EXPECT_TRUE(is_recognised(terms, Uid{34}));
}

TEST(RecognitionTerms, are_nobody_where_being_the_same_user_is_not_enough) {
    for (const auto* text : {"[policy]\nsame_user = false\n",
                             "[policy]\nrequire_label = true\n[labels]\nslurm = true\n",
                             "[owners]\nrecognise = false\n"}) {
        const auto terms = terms_of(text);
        EXPECT_NE(terms.why_not, "") << text;
        EXPECT_FALSE(recognises(terms, "10.1.2.3")) << text;
    }
}

TEST(RecognitionTerms, of_the_fabric_are_its_own) {
    const auto terms = terms_of("[fabric]\npeers = [\"10.80.0.0/16\"]\nreasons = []\n");
    EXPECT_EQ(terms.why_not, "");
    EXPECT_TRUE(recognises(terms, "10.80.0.1"));
    EXPECT_FALSE(recognises(terms, "10.80.0.1", alice, UBF_SIDE_FABRIC));
}

TEST(RecognitionTerms, have_a_key_that_is_not_the_clusters) {
    const auto terms = terms_of("");
    EXPECT_TRUE(terms.agreed.keys[0].is_there);
    EXPECT_FALSE(terms.agreed.keys[1].is_there);
    EXPECT_EQ(terms.agreed.keys[0].id, keys.current.id());
    EXPECT_NE(terms.agreed.keys[0].words[0], 0x1111111111111111U);
}

} // namespace
} // namespace ubf
