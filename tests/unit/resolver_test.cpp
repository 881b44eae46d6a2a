// Names that are looked up on threads: nobody's hold up another's.
#include "daemon/portal/resolver.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <latch>
#include <poll.h>

namespace ubf::portal {
namespace {

class ResolverTest : public testing::Test {
  protected:
    Mailbox mailbox;
    std::latch hanging{1};
    std::atomic<int> answered{0}; // of those that do not hang
    Resolver resolver{mailbox};

    ~ResolverTest() override { hanging.count_down(); }

    bool begin_hanging(const std::string& person) {
        return resolver.begin(person, [this] {
            hanging.wait();
            return Mailbox::Task([] {});
        });
    }
    bool begin(const std::string& person) {
        return resolver.begin(person, [this] { return Mailbox::Task([this] { ++answered; }); });
    }
    // Whether so many are answered within the time.
    bool wait_for(int number) {
        for (int round = 0; round < 200 && answered < number; ++round) {
            pollfd news{mailbox.fd(), POLLIN, 0};
            ::poll(&news, 1, 10);
            mailbox.run();
        }
        return answered == number;
    }
};

TEST_F(ResolverTest, one_persons_names_that_hang_hold_up_nobody_elses) {
    for (int i = 0; i < 8; ++i)
        ASSERT_TRUE(begin_hanging("bob"));
    EXPECT_FALSE(begin_hanging("bob"));
    for (int i = 0; i < 8; ++i)
        ASSERT_TRUE(begin("alice"));
    EXPECT_TRUE(wait_for(8));
    ASSERT_TRUE(begin("alice"));
    EXPECT_TRUE(wait_for(9));
}

TEST_F(ResolverTest, all_names_of_a_person_are_looked_up_in_the_end) {
    for (int i = 0; i < 8; ++i)
        ASSERT_TRUE(begin("bob"));
    EXPECT_TRUE(wait_for(8));
}

} // namespace
} // namespace ubf::portal
