#include "daemon/ident/inquiries.hpp"

#include <chrono>
#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

using namespace std::chrono_literals;
using Admission = Inquiries::Admission;

const Path path{*Endpoint::parse("10.0.0.1:1017"), *Endpoint::parse("10.0.0.2:1017")};
const Flow flow{Protocol::tcp, *Endpoint::parse("10.0.0.1:1"), *Endpoint::parse("10.0.0.2:8888")};
const TimePoint start = TimePoint() + 1h;

Address peer(int number) {
    return *Address::parse("10.0.1." + std::to_string(number));
}

struct Asking : testing::Test {
    Inquiries inquiries;
    int decided = 0;
    int unheard = 0;

    void ask(std::uint64_t nonce) {
        inquiries.ask(
            {{Nonce{nonce}, flow}, path}, start + 2s,
            [this](const auto& decision) { ++(decision ? decided : unheard); }, start);
    }
};

TEST_F(Asking, an_inquiry_is_retransmitted_until_its_time_is_over) {
    ask(1);
    std::vector<std::chrono::milliseconds> sent;
    for (auto at = 0ms; inquiries.next() && at <= 3s; at += 100ms)
        if (!inquiries.due(start + at).empty())
            sent.push_back(at);
    EXPECT_EQ(sent, (std::vector<std::chrono::milliseconds>{0ms, 300ms, 900ms}));
    EXPECT_EQ(unheard, 1);
    EXPECT_FALSE(inquiries.answered({Nonce{1}, Reason::same_user}, path.reversed())); // too late
    EXPECT_EQ(decided, 0);
}

TEST_F(Asking, one_decision_counts_from_the_node_that_was_asked) {
    ask(1);
    const Decision decision{Nonce{1}, Reason::same_user};
    EXPECT_FALSE(inquiries.answered({Nonce{2}, Reason::same_user}, path.reversed()));
    EXPECT_FALSE(inquiries.answered(decision, path));
    EXPECT_FALSE(inquiries.answered(decision, {*Endpoint::parse("10.0.0.3:1017"), path.from}));
    EXPECT_EQ(decided, 0);
    EXPECT_TRUE(inquiries.answered(decision, path.reversed()));
    EXPECT_FALSE(inquiries.answered(decision, path.reversed()));
    EXPECT_EQ(decided, 1);
    EXPECT_FALSE(inquiries.next());
}

TEST_F(Asking, few_wait_at_a_time) {
    for (std::uint64_t nonce = 0; nonce < Inquiries::most_asked + 5; ++nonce)
        ask(nonce);
    EXPECT_EQ(unheard, 5);
    EXPECT_EQ(inquiries.due(start).size(), Inquiries::most_asked);
}

TEST(InquiriesOfPeers, each_and_all_have_a_share_of_a_second) {
    Inquiries inquiries;
    int admitted = 0;
    for (int second = 0; second < 3; ++second)
        for (int number = 0; number < 10; ++number)
            for (std::uint64_t nonce = 0; nonce < 10; ++nonce)
                if (inquiries.begin(Nonce{nonce}, peer(number), start + second * 1s) ==
                    Admission::admitted) {
                    ++admitted;
                    inquiries.end(Nonce{nonce}, peer(number));
                }
    EXPECT_EQ(admitted, 3 * 4);
}

TEST(InquiriesOfPeers, one_that_is_being_answered_is_not_begun_again_and_few_are_open) {
    Inquiries inquiries;
    EXPECT_EQ(inquiries.begin(Nonce{1}, peer(1), start), Admission::admitted);
    EXPECT_EQ(inquiries.begin(Nonce{1}, peer(1), start + 1s), Admission::refused);
    EXPECT_EQ(inquiries.begin(Nonce{1}, peer(2), start + 1s), Admission::admitted);
    EXPECT_EQ(inquiries.begin(Nonce{2}, peer(1), start + 2s), Admission::admitted);
    EXPECT_EQ(inquiries.begin(Nonce{3}, peer(1), start + 4s), Admission::refused); // two are open
    inquiries.end(Nonce{1}, peer(1));
    EXPECT_EQ(inquiries.begin(Nonce{3}, peer(1), start + 4s), Admission::admitted);
    // Nobody answered them: their places are free again.
    EXPECT_EQ(inquiries.begin(Nonce{4}, peer(1), start + 20s), Admission::admitted);
}

} // namespace
} // namespace ubf::ident
