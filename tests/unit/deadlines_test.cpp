#include "base/deadlines.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>

namespace ubf {
namespace {

using namespace std::chrono_literals;

const TimePoint start = TimePoint() + 1h;

template<typename D>
std::string taken(D& deadlines, TimePoint now) {
    std::string keys;
    while (const auto due = deadlines.take(now))
        keys += due->key;
    return keys;
}

TEST(Deadlines, are_taken_when_they_have_come_and_in_their_order) {
    Deadlines<char> deadlines;
    EXPECT_FALSE(deadlines.next());
    EXPECT_FALSE(deadlines.take(start));
    for (const auto& [key, after] : {std::pair('c', 3s), {'a', 1s}, {'d', 4s}, {'b', 2s}})
        deadlines.add(start + after, key);
    EXPECT_EQ(deadlines.next(), start + 1s);
    EXPECT_EQ(taken(deadlines, start + 1s - 1ns), "");
    EXPECT_EQ(taken(deadlines, start + 3s), "abc");
    EXPECT_EQ(deadlines.next(), start + 4s);
    EXPECT_EQ(deadlines.size(), 1u);
    EXPECT_EQ(deadlines.take(start + 5s)->when, start + 4s);
    EXPECT_FALSE(deadlines.next());
}

TEST(Deadlines, that_are_equal_come_each_once_and_in_order_from_a_queue) {
    Deadlines<char> heap;
    Deadlines<char, Times::in_order> queue;
    const std::string keys = "the quick brown fox jumps over the lazy dog";
    for (const char key : keys) {
        heap.add(start, key);
        queue.add(start, key);
    }
    auto all = taken(heap, start);
    EXPECT_TRUE(std::ranges::is_permutation(all, keys)) << all;
    EXPECT_EQ(taken(queue, start), keys);
}

TEST(Deadlines, reach_as_far_as_time_does) {
    Deadlines<char> deadlines;
    deadlines.add(TimePoint::max(), 'z');
    deadlines.add(TimePoint(), 'b');
    deadlines.add(TimePoint::min(), 'a');
    deadlines.add(start, 'c');
    EXPECT_EQ(taken(deadlines, start), "abc");
    EXPECT_EQ(deadlines.next(), TimePoint::max());
    deadlines.clear();
    EXPECT_FALSE(deadlines.take(TimePoint::max()));
}

TEST(Deadlines, in_order_a_shorter_one_waits_for_those_before_it) {
    Deadlines<char, Times::in_order> queue;
    queue.add(start + 2s, 'a');
    queue.add(start + 1s, 'b');
    EXPECT_EQ(queue.next(), start + 2s);
    EXPECT_EQ(taken(queue, start + 1s), "");
    EXPECT_EQ(taken(queue, start + 2s), "ab");
}

// As every caller does: an entry says which of its deadlines holds.
TEST(Deadlines, of_entries_that_move_and_go_come_once_each_whatever_their_number) {
    Deadlines<int> deadlines;
    std::map<int, TimePoint> entries;
    std::mt19937 random(1); // the same each time
    const auto any = [&](int most) {
        return static_cast<int>(random() % static_cast<unsigned>(most));
    };
    for (int i = 0; i < 100'000; ++i) {
        const int key = any(10'000);
        if (any(4) == 0) {
            entries.erase(key);
            continue;
        }
        entries[key] = start + any(1000) * 1ms;
        deadlines.add(entries[key], key);
    }
    auto last = start;
    for (auto now = start; now < start + 1s; now += 10ms)
        while (const auto due = deadlines.take(now)) {
            EXPECT_GE(due->when, last);
            EXPECT_LE(due->when, now);
            last = due->when;
            const auto entry = entries.find(due->key);
            if (entry != entries.end() && entry->second == due->when)
                entries.erase(entry);
        }
    for (const auto& [key, when] : entries)
        EXPECT_GT(when, start + 990ms) << key;
    EXPECT_LT(entries.size(), 500u);
}

} // namespace
} // namespace ubf
