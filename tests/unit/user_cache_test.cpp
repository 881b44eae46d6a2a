// Users by name and by uid, from this machine's user database.
#include "daemon/owners/user_cache.hpp"

#include <future>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using Whom = std::variant<Uid, std::string>;

class UserCacheTest : public testing::Test {
  protected:
    UserCache cache;

    std::optional<UserCache::User> ask(const Whom& whom) {
        std::promise<std::optional<UserCache::User>> answer;
        EXPECT_TRUE(cache.ask(
            whom, [&](std::optional<UserCache::User> user) { answer.set_value(std::move(user)); }));
        return answer.get_future().get();
    }
};

TEST_F(UserCacheTest, tells_of_a_user_by_name_and_by_uid) {
    for (const Whom& whom : {Whom(std::string("root")), Whom(Uid{0})}) {
        const auto user = ask(whom);
        ASSERT_TRUE(user);
        EXPECT_EQ(user->uid, Uid{0});
        EXPECT_EQ(user->record->name, "root");
    }
}

TEST_F(UserCacheTest, tells_of_nobody_who_does_not_exist) {
    EXPECT_FALSE(ask(std::string("nobody-of-that-name")));
    EXPECT_FALSE(ask(Uid{4'000'000'000}));
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
    ask(std::string("root"));
    while (!cache.known(Uid{0})) // the answer comes just before the cache has it
        std::this_thread::yield();
    bool answered = false;
    EXPECT_TRUE(
        cache.ask(std::string("root"), [&](const auto& user) { answered = user.has_value(); }));
    EXPECT_TRUE(answered);
}

} // namespace
} // namespace ubf
