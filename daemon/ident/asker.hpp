// Asks peers who owns a socket, and asks again until they answer or the deadline passes. One for
// each thread that asks, with a channel and a socket of its own; all of it belongs to that thread.
#pragma once

#include "base/deadlines.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/answer_times.hpp"
#include "daemon/ident/back_pressure.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/peers.hpp"
#include "ident/socket.hpp"

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace ubf::ident {

// Drawn many at a time, for each draw is a system call.
class Nonces {
  public:
    Nonce draw();

  private:
    std::array<Nonce, 64> drawn_{};
    std::size_t left_ = 0;
};

class Asker final : public Peers {
  public:
    // channel: the number of this asker on its node. socket: that channel's. lane: another socket,
    // for questions to unproven peers. Datagrams to addresses that nobody has must not fill the
    // channel's own socket.
    Asker(const Socket& socket, const Socket& lane, Channel channel,
          std::shared_ptr<const Terms> terms, Milliseconds deadline, PeerTable& peers,
          Counters& counters);

    // The handler is called in flush(), receive() and on_time().
    void set_handler(Handler handler) override { handler_ = std::move(handler); }
    void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline) override;
    Nonce ask(const Flow& flow, const Flow& asked, Role role, std::optional<Uid> same_as,
              std::uint32_t interface, std::optional<Gid> group, TimePoint now) override;
    void flush(TimePoint now) override;
    void withdraw(Nonce nonce) override;
    void on_time(TimePoint now) override;
    std::optional<TimePoint> next() const override;
    bool is_pressed() const override { return pressure_.is_high(); }
    // The loop calls receive() when fd() is readable.
    int fd() const { return line_.socket.fd(); }
    void receive(TimePoint now);

  private:
    struct Pending {
        Question question;
        Flow flow; // as we know it
        Path path;
        std::uint32_t interface;
        TimePoint asked;
        TimePoint deadline;
        std::optional<BackPressure::Kind> counted; // while it is open
        TimePoint again{};               // when it is due again, at the latest at the deadline
        std::optional<TimePoint> sent{}; // the last time
        Clock::duration pause{};         // from the last transmission to the next
        std::optional<Owner> named{};    // by the peer's first answer: a user
        bool repeated = false;
        bool withdrawn = false;
    };

    void send(const std::vector<Nonce>& nonces, TimePoint now);
    void note_sent(Pending& pending, TimePoint now);
    void send_later(Pending& pending, TimePoint when);
    void expire(const Pending& pending, TimePoint now);
    std::vector<Flow> take_barred(std::vector<Nonce>& nonces);
    void handle(const Received& received, TimePoint now);
    void ask_for_certificate(const Received& received);
    void note_word(const Answer& answer, const Path& path, Milliseconds stated);
    void handle(const Answer& answer, const Path& path, Milliseconds ahead, TimePoint now);

    struct Line {
        const Socket& socket;
        const Socket& unproven; // for questions to peers that have not answered yet
        Channel channel;
    };
    const Line line_;
    Inbox inbox_;
    std::shared_ptr<const Terms> terms_;
    Milliseconds deadline_;
    PeerTable& peers_;
    Counters& counters_;
    Handler handler_;

    std::unordered_map<Nonce, Pending> pending_;
    AnswerTimes times_;
    BackPressure pressure_;
    std::vector<Nonce> unsent_;
    Deadlines<Nonce> due_;
    Nonces nonces_;
    std::vector<Pending*> open_; // kept for their room
    Datagram outgoing_;
};

} // namespace ubf::ident
