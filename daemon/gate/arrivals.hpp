// Cases that arrived, until their sockets are looked up. For UDP, the kernel lists the sockets that
// have the ports. That takes long if a user has opened very many, and must not hold up all others.
// So connections go first, and lists have half of the time.
#pragma once

#include "base/clock.hpp"
#include "daemon/gate/case.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace ubf {

class Arrivals {
  public:
    static bool is_listed(const Flow& flow) { return flow.protocol == Protocol::udp; }

    Case& add(Case&& item) {
        return is_listed(item.flow()) ? datagrams_.emplace_back(std::move(item))
                                      : connections_.emplace_back(std::move(item));
    }
    // There is no room for another datagram.
    bool is_full() const { return datagrams_.size() >= most; }
    bool any_wait() const { return !datagrams_.empty(); }

    // Those whose turn it is, until the next call; none: nobody's.
    std::span<Case> take(TimePoint now) {
        turn_.clear();
        if (!connections_.empty()) {
            turn_.swap(connections_);
            return turn_;
        }
        for (; !datagrams_.empty() && list_at_ <= now && turn_.size() < most_at_once;
             datagrams_.pop_front())
            turn_.push_back(std::move(datagrams_.front()));
        return turn_;
    }
    // The list of their sockets took this long.
    void listed(Clock::duration took, TimePoint now) {
        constexpr std::chrono::milliseconds brief{1};
        list_at_ = took < brief ? TimePoint{} : now + took;
    }
    std::optional<TimePoint> next() const {
        return datagrams_.empty() ? std::nullopt : std::optional(list_at_);
    }

    void drop_all() {
        for (auto& item : datagrams_)
            item.packets.judge(Reason::overload);
        datagrams_.clear();
    }

  private:
    static constexpr std::size_t most = 4096;
    static constexpr std::size_t most_at_once = 64; // in few walks through all sockets

    std::vector<Case> connections_;
    std::deque<Case> datagrams_;
    std::vector<Case> turn_; // kept for its room
    TimePoint list_at_{};    // not before
};

} // namespace ubf
