#include "daemon/log/limit_news.hpp"

#include <gmock/gmock.h>

namespace ubf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Uid alice{2001}, bob{2002};
const TimePoint start = Clock::now();

TEST(LimitNews, ToldOfEachUserOnceAndAgainLater) {
    LimitNews news;
    EXPECT_THAT(news.tell({alice}, start), ElementsAre(alice));
    EXPECT_THAT(news.tell({alice, bob}, start + std::chrono::seconds(2)), ElementsAre(bob));
    EXPECT_THAT(news.tell({alice, bob}, start + std::chrono::minutes(9)), IsEmpty());
    EXPECT_THAT(news.tell({alice}, start + LimitNews::again_after), ElementsAre(alice));
}

TEST(LimitNews, AreFewHoweverManyUsersThereAre) {
    std::vector<Uid> many;
    for (std::uint32_t uid = 5000; uid < 9000; ++uid)
        many.push_back(Uid{uid});
    LimitNews news;
    EXPECT_EQ(news.tell(many, start).size(), LimitNews::most);
    EXPECT_THAT(news.tell(many, start + std::chrono::seconds(2)), IsEmpty());
}

} // namespace
} // namespace ubf
