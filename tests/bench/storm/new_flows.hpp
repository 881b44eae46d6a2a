// New flows, many at a time, and the time of each.
#pragma once

#include "socket.hpp"
#include "times.hpp"

#include <cstddef>
#include <map>
#include <vector>

namespace ubf::bench {

// A TCP flow's time runs from connect() to the connection or the refusal. A UDP flow's runs from
// the first datagram to its answer.
class NewFlows {
  public:
    NewFlows(int type, const SocketAddress& to, std::size_t count, std::size_t concurrency);

    void run();
    void print(); // one JSON line

  private:
    struct Slot {
        UniqueFd fd;
        Clock::time_point begin;
    };

    void begin_flow(std::size_t index);
    void proceed(std::size_t index);
    void finish(Slot& slot, int error);

    const int type_;
    const SocketAddress to_;
    const std::size_t count_;
    UniqueFd epoll_;
    std::vector<Slot> slots_;
    std::size_t begun_ = 0;
    std::size_t connected_ = 0;
    std::map<int, std::size_t> errors_;
    Times times_; // of the finished flows
    double seconds_ = 0;
};

} // namespace ubf::bench
