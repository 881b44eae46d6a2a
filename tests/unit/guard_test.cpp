// The datagrams that ident accepts, by the clocks of both nodes. Both clocks are the test's.
#include "daemon/ident/guard.hpp"

#include <array>
#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

constexpr TimePoint now{std::chrono::hours(24)};
constexpr Milliseconds wall{1'700'000'000'000};
constexpr Milliseconds skew{2000};
constexpr Milliseconds hour{3'600'000};

class GuardTest : public testing::Test {
  protected:
    const Path path{*Endpoint::parse("10.77.0.1:1017"), *Endpoint::parse("10.77.0.2:1017")};
    const Flow flow{Protocol::tcp, *Endpoint::parse("10.77.0.1:40000"),
                    *Endpoint::parse("10.77.0.2:8888")};
    const std::vector<Gone> gone{{Nonce{1}, flow}};
    const std::vector<Question> question{{Nonce{1}, Role::connector, flow, std::nullopt, {}}};
    const Terms terms{
        1017, skew, {*Prefix::parse("10.77.0.0/24")}, {Key::random(), std::nullopt}, {}};
    PeerTable peers;
    IdentCounters counters;

    // Nothing if it is accepted. sent: by the peer's clock.
    std::optional<Rejection> came(const Entries& entries, Milliseconds sent) {
        return came(entries, sent, path, path);
    }
    std::optional<Rejection> came(const Entries& entries, Milliseconds sent, const Path& signed_for,
                                  const Path& along) {
        std::array<std::uint8_t, max_datagram> buffer{};
        std::size_t first = 0;
        const auto bytes = encode(buffer, {Channel::service, Channel::service, sent, entries},
                                  first, signed_for, terms.keys.current);
        const auto accepted = accept({along, 2, bytes}, terms, peers, counters, wall);
        return accepted ? std::nullopt : std::optional(accepted.error());
    }
    std::size_t named() { return peers.take_other_clocks(now).size(); }
};

TEST_F(GuardTest, a_notice_is_accepted_within_the_window_and_not_a_moment_beyond) {
    for (const auto sign : {1, -1}) {
        EXPECT_EQ(came(gone, wall + sign * skew), std::nullopt);
        EXPECT_EQ(came(gone, wall + sign * (skew + Milliseconds(1))), Rejection::late);
    }
    EXPECT_EQ(counters.rejections.read(Rejection::late), 2u);
}

TEST_F(GuardTest, the_window_moves_with_the_clock_that_the_peers_last_answer_has_shown) {
    peers.answered(path.from.address, Milliseconds(1), hour, now);
    EXPECT_EQ(came(gone, wall), Rejection::late);
    EXPECT_EQ(came(gone, wall + hour + skew), std::nullopt);
    EXPECT_EQ(came(gone, wall + hour - skew), std::nullopt);
    EXPECT_EQ(came(gone, wall + hour + skew + Milliseconds(1)), Rejection::late);
    peers.answered(path.from.address, Milliseconds(1), Milliseconds(0), now); // it was set right
    EXPECT_EQ(came(gone, wall), std::nullopt);
    EXPECT_EQ(came(gone, wall + hour), Rejection::late);
}

TEST_F(GuardTest, a_question_needs_no_clock_but_the_clock_is_named_once_an_hour) {
    EXPECT_EQ(came(question, wall + skew), std::nullopt);
    EXPECT_EQ(named(), 0u);
    EXPECT_EQ(came(question, wall - hour), std::nullopt);
    EXPECT_EQ(named(), 1u);
    EXPECT_EQ(came(question, wall - hour), std::nullopt);
    EXPECT_EQ(named(), 0u);
    EXPECT_EQ(came(question, wall - hour), std::nullopt);
    EXPECT_EQ(peers.take_other_clocks(now + std::chrono::hours(1)).size(), 1u);
}

TEST_F(GuardTest, a_datagram_that_was_meant_for_another_path_is_forged) {
    auto another = path;
    another.to.address = *Address::parse("10.77.0.3");
    EXPECT_EQ(came(gone, wall, another, path), Rejection::wrong_key);
    auto foreign = path;
    foreign.from.port = 40000;
    EXPECT_EQ(came(gone, wall, foreign, foreign), Rejection::foreign);
}

} // namespace
} // namespace ubf::ident
