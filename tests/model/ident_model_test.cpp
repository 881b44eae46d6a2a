#include "ident_model.hpp"

#include <gtest/gtest.h>

namespace ubf::model {
namespace {

TEST(IdentModel, nothing_that_can_happen_allows_what_should_not_be_or_waits_for_ever) {
    const auto result = Explorer(Rules{}).explore();
    EXPECT_FALSE(result.violated) << *result.violated;
    EXPECT_GT(result.states, 100'000u);
    EXPECT_GT(result.allowed, 100u); // allowed packets get through as well
    RecordProperty("states", static_cast<int>(result.states));
}

// The world with certificates differs in its mischief alone.
const State smaller{.changes = 1, .restarts = 1};

TEST(IdentModel, a_rooted_node_with_a_key_of_its_own_speaks_for_no_other) {
    const auto result = Explorer(Rules{.certificates = true}).explore(smaller);
    EXPECT_FALSE(result.violated) << *result.violated;
    EXPECT_GT(result.allowed, 100u);
}

TEST(IdentModel, without_the_key_of_the_pair_a_rooted_node_gets_somebody_in) {
    EXPECT_TRUE(
        Explorer(Rules{.certificates = true, .checks_pair = false}).explore(smaller).violated);
}

// Each protection has a purpose.
TEST(IdentModel, without_the_mac_somebody_gets_in) {
    EXPECT_TRUE(Explorer(Rules{.checks_mac = false}).explore().violated);
}

TEST(IdentModel, without_the_nonce_an_old_answer_gets_somebody_in) {
    EXPECT_TRUE(Explorer(Rules{.checks_nonce = false}).explore().violated);
}

TEST(IdentModel, without_the_source_a_peer_that_was_not_asked_gets_somebody_in) {
    EXPECT_TRUE(Explorer(Rules{.checks_source = false}).explore().violated);
}

TEST(IdentModel, without_another_look_the_packet_reaches_who_took_the_port) {
    EXPECT_TRUE(Explorer(Rules{.looks_again = false}).explore().violated);
}

TEST(IdentModel, without_giving_up_a_packet_waits_for_ever) {
    EXPECT_TRUE(Explorer(Rules{.gives_up = false}).explore().violated);
}

} // namespace
} // namespace ubf::model
