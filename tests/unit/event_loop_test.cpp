#include "daemon/core/event_loop.hpp"

#include <array>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ubf {
namespace {

class EventLoopTest : public testing::Test {
  protected:
    EventLoop loop;
    UniqueFd here, there;
    int read = 0;
    int written = 0;

    EventLoopTest() {
        std::array<int, 2> pair{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
        here = UniqueFd(pair[0]);
        there = UniqueFd(pair[1]);
        EXPECT_EQ(::write(there.get(), "x", 1), 1); // which nobody reads
    }
    void watch(bool writable = false) {
        loop.watch(
            here.get(), [this] { ++read; },
            writable ? [this] { ++written; } : std::function<void()>());
    }
    // How often each was called in one round.
    std::array<int, 2> round() {
        read = written = 0;
        loop.run_once(Clock::now());
        return {read, written};
    }
};

constexpr std::array nothing{0, 0}, readable{1, 0}, both{1, 1};

TEST_F(EventLoopTest, calls_what_was_asked_for_last) {
    watch();
    EXPECT_EQ(round(), readable);
    watch(); // the same once more
    EXPECT_EQ(round(), readable);
    watch(true);
    EXPECT_EQ(round(), both);
    watch();
    EXPECT_EQ(round(), readable);
}

TEST_F(EventLoopTest, leaves_a_descriptor_alone_until_it_is_resumed_or_watched_anew) {
    watch();
    loop.pause(here.get());
    EXPECT_EQ(round(), nothing);
    loop.pause(here.get());
    loop.resume(here.get());
    EXPECT_EQ(round(), readable);
    loop.pause(here.get());
    watch();
    EXPECT_EQ(round(), readable);
}

TEST_F(EventLoopTest, watches_another_socket_of_the_same_number) {
    watch();
    loop.forget(here.get());
    EXPECT_EQ(round(), nothing);
    watch();
    EXPECT_EQ(round(), readable);
}

} // namespace
} // namespace ubf
