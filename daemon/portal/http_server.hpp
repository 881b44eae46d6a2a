// The questions that come over HTTP, and their answers: libmicrohttpd on the connections of a
// Listener, in this program's own event loop. A question waits for its answer without a thread.
#pragma once

#include "daemon/core/event_loop.hpp"
#include "daemon/portal/clients.hpp"
#include "daemon/portal/listener.hpp"
#include "portal/answer.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

struct MHD_Connection;
struct MHD_Daemon;

namespace ubf::portal {

class HttpServer {
  public:
    using Id = std::uint64_t; // of a question
    using Asked = std::function<void(Id, const Question&, Peer)>;

    // asked: gets each question that is well-formed. Throws std::runtime_error.
    HttpServer(EventLoop& loop, Listener& listener, Asked asked);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Does nothing if the asker is gone.
    void answer(Id id, const Result<Grant, Refusal>& answer);
    // After each round of the event loop. Returns when it wants the next.
    TimePoint go_on(TimePoint now);
    std::size_t clients() const { return clients_.size(); }

  private:
    struct Exchange { // one request
        HttpServer* server;
        Id id;
        std::string uri;
        MHD_Connection* connection = nullptr;
        std::size_t body = 0; // bytes of it that were thrown away
        Form form = Form::none;
        std::optional<Response> response{};
        bool waits = false;
    };
    struct Callbacks; // of libmicrohttpd
    struct Stop {
        void operator()(MHD_Daemon* daemon) const;
    };

    // Reads what has come. How long it wants to wait afterwards.
    std::chrono::milliseconds run();
    void accept();
    bool seat(Listener::Arrival& arrival, TimePoint now);
    void seat_those_that_wait();
    void close(int fd);
    int handle(Exchange& exchange, MHD_Connection* connection);
    void end(Exchange* exchange);

    EventLoop& loop_;
    Listener& listener_;
    Asked asked_;
    Clients clients_;
    std::unordered_map<Id, std::unique_ptr<Exchange>> exchanges_;
    Id last_ = 0;
    std::deque<Listener::Arrival> standing_; // until one of their user's connections is answered
    bool any_ended_ = false;                 // of the exchanges
    std::unique_ptr<MHD_Daemon, Stop> daemon_;
    int epoll_ = -1;         // the daemon's
    TimePoint next_sweep_{}; // for clients that are overdue
};

} // namespace ubf::portal
