// Estimates from the answer times of peers how long to wait before a question is sent once more, as
// section 2 of RFC 6298 does. A question that is repeated while its answer is on the
// way costs the peer another one, and slows down all answers behind it (congestion collapse, RFC
// 2914).
#pragma once

#include "daemon/core/event_loop.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace ubf::ident {

class AnswerTimes {
  public:
    using Duration = Clock::duration;

    // Short enough for a datagram that was lost on an idle network, and within what a packet waits.
    static constexpr Duration shortest = std::chrono::milliseconds(60);
    static constexpr Duration longest = std::chrono::milliseconds(400);
    static constexpr Duration unknown = std::chrono::milliseconds(200); // nobody has answered yet

    // From the first sending, also where it was repeated: which of them was answered nobody knows,
    // and to have waited too long costs less than to ask too much.
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

    // From the sending of a question to the first repetition.
    Duration pause() const {
        return smoothed_ ? std::clamp(*smoothed_ + 4 * deviation_, shortest, longest) : unknown;
    }

  private:
    std::optional<Duration> smoothed_;
    Duration deviation_{};
};

} // namespace ubf::ident
