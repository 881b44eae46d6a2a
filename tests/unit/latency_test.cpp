#include "daemon/core/histogram.hpp"
#include "daemon/ubfctl/http.hpp"
#include "daemon/ubfctl/latency.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using namespace std::chrono_literals;

std::size_t bucket_of(std::chrono::nanoseconds took) {
    Histogram histogram;
    histogram.add(took);
    for (std::size_t i = 0; i < Histogram::buckets; ++i)
        if (histogram.count(i) != 0)
            return i;
    return Histogram::buckets;
}

TEST(Histogram, counts_each_duration_in_the_first_bucket_that_holds_it) {
    EXPECT_EQ(bucket_of(0ns), 0u);
    EXPECT_EQ(bucket_of(9'999ns), 0u);
    EXPECT_EQ(bucket_of(10'001ns), 1u);
    EXPECT_EQ(bucket_of(999us), 6u);
    EXPECT_EQ(bucket_of(2s), Histogram::buckets - 1);
    EXPECT_EQ(bucket_of(24h), Histogram::buckets - 1);
    EXPECT_EQ(bucket_of(-1ms), 0u); // a clock that went back must not write elsewhere
}

TEST(Histogram, sums_up_all_durations) {
    Histogram histogram;
    for (const auto took : {3us, 40us, -5us})
        histogram.add(took);
    EXPECT_EQ(histogram.sum_us(), 43u);
}

} // namespace

namespace ctl {
namespace {

const Latencies some{{10, 100, 1000}, {5, 4, 0, 1}, 2000};

TEST(Latencies, has_a_quantile_in_the_bucket_where_it_falls) {
    EXPECT_EQ(some.count(), 10u);
    EXPECT_EQ(some.quantile_us(0.5), 10u);
    EXPECT_EQ(some.quantile_us(0.51), 100u);
    EXPECT_EQ(some.quantile_us(0.9), 100u);
    EXPECT_EQ(some.quantile_us(0.99), 1000u); // beyond all bounds
    EXPECT_EQ(Latencies{}.quantile_us(0.5), 0u);
}

TEST(Latencies, are_those_since_an_earlier_look) {
    const Latencies before{{10, 100, 1000}, {5, 1, 0, 0}, 80};
    EXPECT_EQ(some.since(before).counts, (std::vector<std::uint64_t>{0, 3, 0, 1}));
    EXPECT_EQ(some.since(before).sum_us, 1920u);
    EXPECT_EQ(before.since(some).counts, before.counts); // restarted
    EXPECT_EQ(some.since({}).counts, some.counts);       // of an older ubfd
}

TEST(Latencies, are_none_where_ubfd_tells_none) {
    EXPECT_EQ(latencies_of(Json::object(), "queue").count(), 0u);
    EXPECT_EQ(latencies_text(Json::object()),
              "by this node alone: none; with a peer's answer: none");
}

TEST(Http, answers_a_get_of_metrics_and_nothing_else) {
    EXPECT_EQ(http_code("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), HttpCode::ok);
    EXPECT_EQ(http_code("GET /metrics?a=b HTTP/1.0\r\n\r\n"), HttpCode::ok);
    EXPECT_EQ(http_code("GET / HTTP/1.1\r\n\r\n"), HttpCode::not_found);
    EXPECT_EQ(http_code("GET /metricsx HTTP/1.1\r\n\r\n"), HttpCode::not_found);
    EXPECT_EQ(http_code("POST /metrics HTTP/1.1\r\n\r\n"), HttpCode::method_not_allowed);
    for (const auto* bad : {"", "\r\n\r\n", "GET /metrics HTTP/1.1\r\n", "GET /metrics\r\n\r\n",
                            "GET /metrics HTTP/2\r\n\r\n", " /metrics HTTP/1.1\r\n\r\n"})
        EXPECT_EQ(http_code(bad), HttpCode::bad_request) << bad;
    EXPECT_TRUE(http_answer(HttpCode::ok, "abc")
                    .ends_with("Content-Length: 3\r\nConnection: close\r\n\r\nabc"));
}

} // namespace
} // namespace ctl
} // namespace ubf
