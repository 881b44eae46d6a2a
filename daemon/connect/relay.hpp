// Carries bytes both ways between a portal's connection and the one to a person's program. Reads no
// byte of them. Neither side is read while the other one's bytes wait.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/core/event_loop.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace ubf::connect {

class Relay {
  public:
    // program: its connect() is under way. ended: called once, when all is over; the relay must not
    // be destroyed within.
    Relay(EventLoop& loop, UniqueFd portal, UniqueFd program, std::function<void()> ended);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    bool is_over() const { return over_; }
    TimePoint active() const { return active_; } // when bytes came last
    bool is_connecting() const { return connecting_; }

  private:
    struct Side {
        UniqueFd socket;
        std::vector<char> waiting{}; // bytes for this side
        std::size_t done = 0;        // of them, those that were sent
        bool ended = false;          // it sends no more
        bool told = false;           // it was told that the other sends no more
        bool reads = false;          // as the loop watches it
        bool writes = false;

        bool is_clear() const { return done == waiting.size(); }
    };

    void connected();
    void read(Side& from, Side& to);
    void write(Side& to);
    bool flush(Side& to);
    void watch(Side& side, Side& other);
    void forget(Side& side);
    void settle();
    void end();

    EventLoop& loop_;
    std::function<void()> ended_;
    Side portal_;
    Side program_;
    bool connecting_ = true;
    bool over_ = false;
    TimePoint active_ = Clock::now();
};

} // namespace ubf::connect
