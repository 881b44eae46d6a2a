#include "daemon/ident/replay_window.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <random>
#include <set>

namespace ubf::ident {
namespace {

TEST(ReplayWindow, knows_what_came_before) {
    ReplayWindow window(4);
    for (const std::uint64_t fingerprint : {1, 9, 17, 0}) { // three of one slot
        EXPECT_TRUE(window.add(fingerprint));
        EXPECT_FALSE(window.add(fingerprint));
    }
}

TEST(ReplayWindow, remembers_as_many_as_it_says_and_forgets_the_oldest) {
    constexpr std::size_t most = 1000;
    ReplayWindow window(most);
    std::mt19937_64 random(1);
    std::vector<std::uint64_t> all;
    for (std::size_t i = 0; i < 10 * most + most / 2; ++i) {
        all.push_back(random());
        ASSERT_TRUE(window.add(all.back()));
        ASSERT_FALSE(window.add(all[i < most ? 0 : i - most + 1])) << i;
    }
    EXPECT_TRUE(window.add(all.front()));
}

// A peer can make datagrams whose fingerprints end in the same bits. One table of them would take
// seconds otherwise.
TEST(ReplayWindow, chosen_fingerprints_cost_no_more_than_others) {
    constexpr std::uint64_t most = 65536;
    ReplayWindow window(most);
    const auto begun = std::chrono::steady_clock::now();
    for (std::uint64_t i = 1; i < most; ++i)
        ASSERT_TRUE(window.add(i << 32));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(500));
}

} // namespace
} // namespace ubf::ident
