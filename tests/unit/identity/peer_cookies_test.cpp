#include "daemon/ident/peer_cookies.hpp"

#include <gtest/gtest.h>

namespace ubf::ident {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const Address peer = *Address::parse("10.0.0.1");
constexpr TimePoint now{minutes(100)};

TEST(PeerCookies, are_good_for_this_minute_and_the_next) {
    const PeerCookies cookies;
    const auto cookie = cookies.of(peer, now);
    for (const auto later : {seconds(0), seconds(59), seconds(60), seconds(119)})
        EXPECT_TRUE(cookies.is_of(cookie, peer, now + later)) << later.count();
    EXPECT_FALSE(cookies.is_of(cookie, peer, now + minutes(2)));
    EXPECT_FALSE(cookies.is_of(cookie, peer, now - minutes(1)));
}

TEST(PeerCookies, are_one_peers_and_one_nodes) {
    const PeerCookies cookies;
    const auto cookie = cookies.of(peer, now);
    EXPECT_FALSE(cookies.is_of(cookie, *Address::parse("10.0.0.2"), now));
    EXPECT_FALSE(cookies.is_of(cookie, *Address::parse("fd00::1"), now));
    EXPECT_FALSE(PeerCookies().is_of(cookie, peer, now));
    EXPECT_FALSE(cookies.is_of({}, peer, now)); // an older ubfd sends none
}

} // namespace
} // namespace ubf::ident
