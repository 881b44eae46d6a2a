#include "daemon/owners/changes.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

constexpr Uid alice{2001};
constexpr Uid bob{2002};

TEST(Changes, are_of_one_user_alone) {
    Changes changes;
    const auto before = changes.now();
    EXPECT_FALSE(changes.since(before, alice));
    changes.add(alice);
    EXPECT_TRUE(changes.since(before, alice));
    EXPECT_FALSE(changes.since(before, bob));
    EXPECT_FALSE(changes.since(changes.now(), alice));
}

TEST(Changes, may_be_of_everybody) {
    Changes changes;
    changes.add(alice);
    const auto before = changes.now();
    changes.add_all();
    EXPECT_TRUE(changes.since(before, alice));
    EXPECT_TRUE(changes.since(before, bob));
    EXPECT_FALSE(changes.since(changes.now(), bob));
}

TEST(Changes, that_are_forgotten_count) {
    Changes changes;
    const auto before = changes.now();
    changes.add(alice);
    for (std::uint32_t uid = 10'000; uid < 30'000; ++uid)
        changes.add(Uid{uid});
    EXPECT_TRUE(changes.since(before, alice));
    EXPECT_TRUE(changes.since(before, bob));
    EXPECT_FALSE(changes.since(changes.now(), bob));
}

} // namespace
} // namespace ubf
