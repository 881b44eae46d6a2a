#include "daemon/log/news.hpp"

#include "base/types.hpp"

#include <gmock/gmock.h>

namespace ubf {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Uid alice{2001}, bob{2002};
const TimePoint start = Clock::now();

TEST(News, are_of_each_once_and_again_later) {
    News<Uid> news(std::chrono::minutes(10));
    EXPECT_THAT(news.find({alice}, start).news, ElementsAre(alice));
    EXPECT_THAT(news.find({alice, bob}, start + std::chrono::seconds(2)).news, ElementsAre(bob));
    EXPECT_THAT(news.find({alice, bob}, start + std::chrono::minutes(9)).news, IsEmpty());
    EXPECT_THAT(news.find({alice}, start + std::chrono::minutes(10)).news, ElementsAre(alice));
}

TEST(News, are_few_and_the_others_are_counted) {
    std::vector<Uid> many;
    for (std::uint32_t uid = 5000; uid < 9000; ++uid)
        many.push_back(Uid{uid});
    News<Uid> news(std::chrono::minutes(10));
    const auto first = news.find(many, start);
    EXPECT_EQ(first.news.size(), news.most);
    EXPECT_EQ(first.others, many.size() - news.most);
    const auto then = news.find(many, start + std::chrono::seconds(2));
    EXPECT_THAT(then.news, IsEmpty());
    EXPECT_EQ(then.others, first.others);
}

} // namespace
} // namespace ubf
