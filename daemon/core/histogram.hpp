// Counts durations in fixed buckets. One thread counts, and any may read.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ubf {

class Histogram {
  public:
    // The largest duration of each bucket but the last, which has all that took longer. From a
    // decision without any system call to one that outlives its deadline.
    static constexpr std::array<std::uint32_t, 16> bounds_us{
        10,   25,    50,    100,   250,    500,    1000,   2500,
        5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000};
    static constexpr std::size_t buckets = bounds_us.size() + 1;

    void add(std::chrono::nanoseconds took) {
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
        const auto bucket = static_cast<std::size_t>(
            std::ranges::find_if(bounds_us, [us](std::int64_t bound) { return us < bound; }) -
            bounds_us.begin());
        raise(counts_[bucket], 1);
        raise(sum_us_, static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0)));
    }

    std::uint64_t count(std::size_t bucket) const {
        return counts_[bucket].load(std::memory_order_relaxed);
    }
    std::uint64_t sum_us() const { return sum_us_.load(std::memory_order_relaxed); }

  private:
    // No other thread writes, so this needs no locked instruction.
    static void raise(std::atomic<std::uint64_t>& value, std::uint64_t by) {
        value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }

    std::array<std::atomic<std::uint64_t>, buckets> counts_{};
    std::atomic<std::uint64_t> sum_us_{0};
};

} // namespace ubf
