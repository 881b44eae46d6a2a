// The log is told of the destinations of dropped multicast, each once in a while.
#include "daemon/log/multicast_news.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ubf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct MulticastNewsTest : testing::Test {
    MulticastNews news;
    TimePoint now{std::chrono::hours(100)};

    static std::vector<Endpoint> places(Port first, std::size_t count) {
        std::vector<Endpoint> all;
        for (std::size_t i = 0; i < count; ++i)
            all.push_back({*Address::parse("239.1.2.3"), static_cast<Port>(first + i)});
        return all;
    }
};

TEST_F(MulticastNewsTest, a_place_is_told_once_an_hour) {
    EXPECT_THAT(news.tell(places(5353, 1), now),
                ElementsAre(HasSubstr("239.1.2.3:5353 is dropped")));
    now += std::chrono::minutes(59);
    EXPECT_THAT(news.tell(places(5353, 1), now), IsEmpty());
    now += std::chrono::minutes(1);
    EXPECT_THAT(news.tell(places(5353, 1), now), ElementsAre(HasSubstr("udp/5353")));
}

TEST_F(MulticastNewsTest, very_many_take_a_few_lines) {
    EXPECT_EQ(news.tell(places(7000, 256), now).size(), News<Endpoint>::most + 1);
    EXPECT_THAT(news.tell(places(8000, 256), now), IsEmpty());
    now += MulticastNews::again_after;
    EXPECT_THAT(news.tell(places(8000, 33), now), testing::Contains(HasSubstr("1 more places")));
}

} // namespace
} // namespace ubf
