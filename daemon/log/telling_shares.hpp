// Peers are told of few refusals a second (ident::Service). Each person has a share of them, so
// that a loop of one is not all that peers hear. Uids that the user database has not named have one
// share together. Pure memory.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/log/refusal.hpp"

#include <chrono>
#include <map>
#include <optional>

namespace ubf {

class TellingShares {
  public:
    static constexpr unsigned share = 10; // a second

    // Whether this refusal's person has some left.
    bool take(const Refusal& refusal, TimePoint now) {
        if (now - since_ >= std::chrono::seconds(1)) {
            since_ = now;
            taken_.clear();
        }
        return ++taken_[refusal.person] <= share;
    }

  private:
    TimePoint since_{};
    std::map<std::optional<Uid>, unsigned> taken_;
};

} // namespace ubf
