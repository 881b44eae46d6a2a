// Durations, one by one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace ubf::bench {

class Times {
  public:
    void add(std::chrono::duration<double, std::micro> time) {
        microseconds_.push_back(time.count());
    }
    std::size_t size() const { return microseconds_.size(); }

    // In microseconds; 0 without values.
    double quantile(double q) {
        if (microseconds_.empty())
            return 0;
        std::ranges::sort(microseconds_);
        const auto last = static_cast<double>(microseconds_.size() - 1);
        return microseconds_[static_cast<std::size_t>(q * last + 0.5)];
    }

  private:
    std::vector<double> microseconds_;
};

} // namespace ubf::bench
