// Asks peers who owns a socket, and asks again until they answer or the deadline passes. One for
// each thread that asks; the answers come from ident's own thread (service.hpp), which reads them.
#pragma once

#include "base/unique_fd.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/peer_table.hpp"
#include "ident/socket.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace ubf::ident {

class Asker {
  public:
    // owner: of the flow's source, as its node says; nothing: no answer by the deadline.
    using Handler = std::function<void(const Flow& flow, const std::optional<Owner>& owner)>;

    // channel: which of this node's askers it is, from 1. Throws std::system_error.
    Asker(Socket& socket, Channel channel, std::shared_ptr<const Terms> terms,
          Milliseconds deadline, PeerTable& peers, Counters& counters);

    // --- by the thread that asks ---

    // Gets every answer, in receive() and on_time(). To be set before the first question.
    void set_handler(Handler handler) { handler_ = std::move(handler); }
    void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline);
    // Who owns the source of this flow? Questions are sent by flush(), several to a datagram.
    // interface: where the packet came in, for link-local addresses.
    void ask(const Flow& flow, Role role, std::optional<Uid> same_as, std::uint32_t interface);
    void flush();
    // By the loop: when fd() is readable, and when the time that next() named has come.
    int fd() const { return event_.get(); }
    void receive();
    void on_time(TimePoint now);
    std::optional<TimePoint> next() const;

    // --- by ident's own thread ---

    // Takes the answers of a datagram, where they were asked for. path: that of the datagram.
    void deliver(const std::vector<Answer>& answers, const Path& path);

  private:
    struct Pending {
        Question question;
        Path path;
        std::uint32_t interface;
        TimePoint asked;
        TimePoint deadline;
        std::chrono::milliseconds pause; // before it is sent again
    };
    struct Due {
        TimePoint when;
        Nonce nonce;
        bool operator>(const Due& other) const { return when > other.when; }
    };
    struct Answered {
        Flow flow;
        Owner owner;
    };

    // As it is sent.
    struct Open {
        Path path;
        std::uint32_t interface;
        Question question;
    };

    void send(const std::vector<Nonce>& nonces);

    Socket& socket_;
    Channel channel_;
    std::shared_ptr<const Terms> terms_;
    Milliseconds deadline_;
    PeerTable& peers_;
    Counters& counters_;
    Handler handler_;
    UniqueFd event_;

    std::mutex mutex_; // of the next two
    std::unordered_map<Nonce, Pending> pending_;
    std::vector<Answered> answered_; // and not handled yet

    std::vector<Answered> handled_; // kept for its room, as are these
    std::vector<Nonce> unsent_;
    std::vector<Open> open_;
    Datagram outgoing_;
    // Also holds what was answered meanwhile; skipped when its time comes.
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

} // namespace ubf::ident
