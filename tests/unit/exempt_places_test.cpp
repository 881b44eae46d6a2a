// Exempt listeners that the kernel lets in by itself: they leave the books with their sockets, and
// not before the kernel has let them go.
#include "daemon/gate/exempt_places.hpp"

#include <gtest/gtest.h>

namespace ubf {
namespace {

using std::chrono::milliseconds;

constexpr Uid service{998};
constexpr Cookie one{1}, another{2};

nft::ListenerKey place(const char* address, Port port, std::uint32_t interface = 2) {
    return {interface, {*Address::parse(address), port}};
}

struct ExemptPlacesTest : testing::Test {
    ExemptPlaces places;
    TimePoint now{std::chrono::hours(24)};
    const nft::ListenerKey web = place("10.0.0.1", 8080);
    const nft::ListenerKey web6 = place("fd00::1", 8080);
    const nft::ListenerKey web_on_fabric = place("10.0.0.1", 8080, 3);

    void add(const nft::ListenerKey& at, Cookie cookie) { places.add(at, cookie, service, now); }
};

TEST_F(ExemptPlacesTest, a_place_belongs_to_one_listener) {
    add(web, one);
    EXPECT_TRUE(places.has(web, one));
    EXPECT_FALSE(places.has(web, another));
    EXPECT_FALSE(places.has(web6, one));
    EXPECT_FALSE(places.has(web_on_fabric, one));
}

TEST_F(ExemptPlacesTest, all_places_of_a_listener_end_with_it) {
    add(web, one);
    add(web6, one);
    add(place("10.0.0.1", 9090), another);
    const auto ended = places.end(one);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->holder, service);
    EXPECT_EQ(ended->places, (std::set{web, web6}));
    EXPECT_FALSE(ended->shared);
    EXPECT_EQ(places.size(), 1u);
    EXPECT_FALSE(places.end(one));
}

TEST_F(ExemptPlacesTest, an_endpoint_of_two_listeners_is_shared_until_one_ends) {
    add(web, one);
    add(web_on_fabric, another);
    const auto first = places.end(one);
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->shared);
    const auto last = places.end(another);
    ASSERT_TRUE(last);
    EXPECT_FALSE(last->shared);
}

TEST_F(ExemptPlacesTest, one_listener_on_two_interfaces_shares_with_nobody) {
    add(web, one);
    add(web_on_fabric, one);
    const auto ended = places.end(one);
    ASSERT_TRUE(ended);
    EXPECT_FALSE(ended->shared);
}

TEST_F(ExemptPlacesTest, the_end_of_a_listener_is_noticed_for_as_long_as_the_kernel_lets_it_in) {
    add(web, one);
    now += ExemptPlaces::in_kernel + milliseconds(500); // the kernel was told that much later
    places.erase_expired(now);
    EXPECT_TRUE(places.end(one));
}

TEST_F(ExemptPlacesTest, a_place_expires_by_itself_and_comes_again) {
    add(web, one);
    now += milliseconds(500);
    add(web6, one);
    now += ExemptPlaces::in_memory - milliseconds(500);
    places.erase_expired(now);
    EXPECT_FALSE(places.has(web, one));
    EXPECT_TRUE(places.has(web6, one));
    add(web, one);
    EXPECT_EQ(places.size(), 2u);
    now += ExemptPlaces::in_memory;
    places.erase_expired(now);
    EXPECT_TRUE(places.empty());
    EXPECT_EQ(places.size(), 0u);
}

TEST_F(ExemptPlacesTest, the_expiry_of_an_ended_listener_takes_nothing_from_the_next) {
    add(web, one);
    places.end(one);
    now += milliseconds(500);
    add(web, another);
    EXPECT_EQ(places.held(), 2u);
    now += ExemptPlaces::in_memory - milliseconds(1);
    places.erase_expired(now);
    EXPECT_TRUE(places.has(web, another));
    EXPECT_EQ(places.held(), 1u);
}

TEST_F(ExemptPlacesTest, a_place_that_is_added_twice_counts_once) {
    add(web, one);
    add(web, one);
    EXPECT_EQ(places.size(), 1u);
    EXPECT_EQ(places.held(), 1u);
}

TEST_F(ExemptPlacesTest, nothing_is_left_when_all_are_cleared) {
    add(web, one);
    places.clear();
    EXPECT_TRUE(places.empty());
    EXPECT_EQ(places.size(), 0u);
    EXPECT_EQ(places.held(), 0u);
    EXPECT_FALSE(places.end(one));
}

} // namespace
} // namespace ubf
