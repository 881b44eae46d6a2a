// `ubfctl flows` and `ubfctl revoke`: what the workers have allowed, gathered from all of them.
// Each answers when it comes to it; one that is stuck is told of, and not waited for.
#pragma once

#include "daemon/control/server.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/gate/worker.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

class FlowDesk {
  public:
    using Json = ControlServer::Json;
    using Workers = std::vector<std::unique_ptr<Worker>>;

    // Must outlive the workers' threads, which answer it.
    FlowDesk(EventLoop& loop, const Workers& workers);

    // request: see filter_of().
    void list(const Json& request, const ControlServer::Reply& reply);
    void revoke(const Json& request, const ControlServer::Reply& reply);
    // By the loop.
    std::optional<TimePoint> next() const;
    void on_time(TimePoint now);

  private:
    enum class Kind : std::uint8_t { list, revoke };
    struct Request {
        Kind kind;
        ControlServer::Reply reply;
        TimePoint deadline;
        std::size_t missing; // workers that have not answered
        FlowWalks::Result sum{};
    };

    void begin(Kind kind, const Json& request, const ControlServer::Reply& reply);
    void add(std::uint64_t number, FlowWalks::Result result);
    static void answer(Request& request);

    static constexpr std::size_t most_rows = 10'000;
    static constexpr std::size_t most_requests = 4;
    static constexpr std::chrono::seconds patience{4}; // ubfctl's is five

    const Workers& workers_;
    Mailbox mailbox_;
    std::map<std::uint64_t, Request> requests_; // by number, the oldest first
    std::uint64_t last_number_ = 0;
};

} // namespace ubf
