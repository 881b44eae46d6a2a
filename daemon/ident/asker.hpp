// Asks peers who owns a socket, and asks again until they answer or the deadline passes. One for
// each thread that asks, with a socket of its own.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/peer_table.hpp"
#include "ident/socket.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace ubf::ident {

class Asker {
  public:
    // owner: of the flow's source, as its node says; nothing: no answer by the deadline.
    using Handler = std::function<void(const Flow& flow, const std::optional<Owner>& owner)>;

    Asker(Socket& socket, Channel channel, std::shared_ptr<const Terms> terms,
          Milliseconds deadline, PeerTable& peers, Counters& counters, Handler handler);

    int fd() const { return socket_.fd(); }
    std::size_t pending() const { return pending_.size(); }

    // Who owns the source of this flow? Questions are sent by flush(), several to a datagram.
    // interface: where the packet came in, for link-local addresses.
    void ask(const Flow& flow, Role role, std::optional<Uid> same_as, std::uint32_t interface);
    void flush();
    // By the loop: when the socket is readable, and when the time that next() named has come.
    void receive();
    void on_time(TimePoint now);
    std::optional<TimePoint> next() const;

    void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline);

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

    void send(std::vector<Nonce>& nonces);
    void take(const Answer& answer, const Path& path);

    Socket& socket_;
    Channel channel_;
    std::shared_ptr<const Terms> terms_;
    Milliseconds deadline_;
    PeerTable& peers_;
    Counters& counters_;
    Handler handler_;

    std::unordered_map<Nonce, Pending> pending_;
    std::vector<Nonce> unsent_;
    Datagram outgoing_; // kept for its room
    // Also holds what was answered meanwhile; skipped when its time comes.
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

} // namespace ubf::ident
