// Which datagrams came already, within the time that their clock lets them be young. Bounded: under
// a flood the oldest are forgotten, and a question that is repeated then is merely answered again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

namespace ubf::ident {

class ReplayWindow {
  public:
    explicit ReplayWindow(std::size_t most)
      : most_(most) {}

    // True the first time.
    bool add(std::uint64_t fingerprint) {
        if (!seen_.insert(fingerprint).second)
            return false;
        if (ring_.size() < most_) {
            ring_.push_back(fingerprint);
            return true;
        }
        seen_.erase(ring_[next_]);
        ring_[next_] = fingerprint;
        next_ = (next_ + 1) % most_;
        return true;
    }

  private:
    const std::size_t most_;
    std::unordered_set<std::uint64_t> seen_;
    std::vector<std::uint64_t> ring_;
    std::size_t next_ = 0;
};

} // namespace ubf::ident
