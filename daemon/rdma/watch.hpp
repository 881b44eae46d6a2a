// ubf-rdmad put together: reads the kernel's table of RDMA connections, reports to ubfd, and ends
// the connections that ubfd orders it to end. If ubfd is away, nothing is ended, and the log says
// so. When ubfd is back, it is told of everything anew.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/core/line_link.hpp"
#include "daemon/core/plain_log.hpp"
#include "daemon/rdma/connections.hpp"
#include "daemon/rdma/endings.hpp"
#include "daemon/rdma/kernel_table.hpp"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>

namespace ubf::rdma {

class Watch {
  public:
    // alive: called at least once a second, or so. Throws std::system_error.
    Watch(EventLoop& loop, const std::filesystem::path& socket, std::function<void()> alive);

    // By the loop: goes on, and returns when to come again.
    TimePoint go_on(TimePoint now);
    // For people.
    std::string summary() const;

  private:
    void look(TimePoint now);
    void connect(TimePoint now);
    void report(TimePoint now);
    void heard(const std::string& line);
    void lost(const std::string& why);

    const PlainLog log_{"ubf-rdmad"};
    std::function<void()> alive_;
    Connections connections_;
    KernelTable kernel_;
    Endings endings_;
    LineLink link_;
    std::uint64_t session_ = 0;
    bool begins_ = true;               // the next report does
    std::deque<TimePoint> unanswered_; // when each report was sent
    bool away_ = false;                // the log has said that ubfd is
    TimePoint looked_{};
    TimePoint next_look_{};
    TimePoint next_connect_{};
    TimePoint next_complaint_{};
};

} // namespace ubf::rdma
