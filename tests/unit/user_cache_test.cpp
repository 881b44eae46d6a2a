// Users by name and by uid, from this machine's user database.
#include "daemon/owners/user_cache.hpp"

#include <future>
#include <gtest/gtest.h>

namespace ubf {
namespace {

class UserCacheTest : public testing::Test {
  protected:
    UserCache cache;

    std::optional<UserCache::User> ask(const std::string& whom) {
        std::promise<std::optional<UserCache::User>> answer;
        EXPECT_TRUE(cache.ask(
            whom, [&](std::optional<UserCache::User> user) { answer.set_value(std::move(user)); }));
        return answer.get_future().get();
    }
};

TEST_F(UserCacheTest, tells_of_a_user_by_name_and_by_uid) {
    for (const char* whom : {"root", "0"}) {
        const auto user = ask(whom);
        ASSERT_TRUE(user);
        EXPECT_EQ(user->uid, Uid{0});
        EXPECT_EQ(user->record->name, "root");
    }
}

TEST_F(UserCacheTest, tells_of_nobody_who_does_not_exist) {
    EXPECT_FALSE(ask("nobody-of-that-name"));
    EXPECT_FALSE(ask("4000000000"));
    EXPECT_FALSE(ask("00")); // a number in another form is a name
}

TEST_F(UserCacheTest, names_the_person_behind_a_uid_once_it_knows_them) {
    while (!cache.person(Uid{0})) // the first call only asks
        std::this_thread::yield();
    EXPECT_EQ(cache.person(Uid{0}), Uid{0});
    const Uid stranger{4'000'000'000};
    cache.find(stranger, std::chrono::seconds(10));
    EXPECT_FALSE(cache.person(stranger));
}

TEST_F(UserCacheTest, answers_at_once_when_it_knows) {
    std::promise<bool> is_known; // by the time of the answer
    cache.ask("root", [&](const auto&) { is_known.set_value(cache.known(Uid{0}).has_value()); });
    EXPECT_TRUE(is_known.get_future().get());
    bool answered = false;
    EXPECT_TRUE(cache.ask("root", [&](const auto& user) { answered = user.has_value(); }));
    EXPECT_TRUE(answered);
}

} // namespace
} // namespace ubf
