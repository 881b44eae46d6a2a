// Estimates the retransmission timeout of questions from the peers' answer times, as section 2 of
// RFC 6298 does. If a question is retransmitted while its answer is on the way, the peer must
// answer twice, and all later answers are delayed (congestion collapse, RFC 2914).
#pragma once

#include "daemon/core/event_loop.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace ubf::ident {

class AnswerTimes {
  public:
    using Duration = Clock::duration;

    // Short enough to retransmit a lost datagram while the packet still waits.
    static constexpr Duration shortest = std::chrono::milliseconds(60);
    static constexpr Duration longest = std::chrono::milliseconds(400);
    static constexpr Duration unknown = std::chrono::milliseconds(200); // nobody has answered yet

    // The time since the first transmission, even if there was a retransmission. Nobody knows which
    // of them was answered, and waiting too long costs less than asking too often.
    void add(Duration took) {
        if (!smoothed_) {
            smoothed_ = took;
            deviation_ = took / 2;
            return;
        }
        const auto error = took - *smoothed_;
        deviation_ += ((error < Duration{} ? -error : error) - deviation_) / 4;
        *smoothed_ += error / 8;
    }

    // From the first transmission of a question to its retransmission.
    Duration pause() const {
        return smoothed_ ? std::clamp(*smoothed_ + 4 * deviation_, shortest, longest) : unknown;
    }

  private:
    std::optional<Duration> smoothed_;
    Duration deviation_{};
};

} // namespace ubf::ident
