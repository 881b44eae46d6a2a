// Asks peers who owns a socket, and asks again until they answer or the deadline passes. One for
// each thread that asks, with a channel and a socket of its own; all of it belongs to that thread.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/answer_times.hpp"
#include "daemon/ident/back_pressure.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/peer_table.hpp"
#include "ident/socket.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace ubf::ident {

class Asker {
  public:
    // The end of a question; `uid` alone leaves it open.
    enum class Heard : std::uint8_t {
        owner,   // of the flow's source, as its node says
        uid,     // a user, whose credentials follow
        busy,    // a user, with the credentials that the node found in the time it had
        late,    // a user, whose credentials did not come by the deadline
        nothing, // no answer by the deadline
        unsent,  // the question could not be sent, for want of room in the kernel
    };
    // owner: unknown, if only `nothing` or `unsent` is heard.
    using Handler = std::function<void(const Flow& flow, Heard heard, const Owner& owner)>;

    // channel: the number of this asker on its node. socket: that channel's. lane: another socket,
    // for questions to unproven peers. Datagrams to addresses that nobody has must not fill the
    // channel's own socket.
    Asker(const Socket& socket, const Socket& lane, Channel channel,
          std::shared_ptr<const Terms> terms, Milliseconds deadline, PeerTable& peers,
          Counters& counters);

    // The handler is called for every question, in receive() and on_time(). To be set before the
    // first one.
    void set_handler(Handler handler) { handler_ = std::move(handler); }
    void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline);
    // Who owns the source of this flow? Questions are sent by flush(), several to a datagram.
    // asked: the flow as the peer knows it. interface: the packet's, for link-local addresses.
    Nonce ask(const Flow& flow, const Flow& asked, Role role, std::optional<Uid> same_as,
              std::uint32_t interface, std::optional<Gid> group = {});
    void flush();
    // The handler is not called for that question any more.
    void withdraw(Nonce nonce);
    // The loop calls receive() when fd() is readable, and on_time() at the time of next().
    int fd() const { return socket_.fd(); }
    void receive();
    void on_time(TimePoint now);
    std::optional<TimePoint> next() const;
    // Whether further questions had better wait: so many are open that peers would only queue them.
    bool is_pressed() const { return pressure_.is_high(); }

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
        std::optional<Uid> uid{};        // from the peer's first answer
        bool repeated = false;
        bool withdrawn = false;
    };
    struct Due {
        TimePoint when;
        Nonce nonce;
        bool operator>(const Due& other) const { return when > other.when; }
    };

    Nonce new_nonce();
    void send(const std::vector<Nonce>& nonces);
    void note_sent(Pending& pending, TimePoint now);
    void send_later(Pending& pending, TimePoint when);
    void expire(const Pending& pending);
    void handle(const Received& received);
    void handle(const Answer& answer, const Path& path, Milliseconds ahead, TimePoint now);

    const Socket& socket_;
    const Socket& lane_;
    Inbox inbox_;
    Channel channel_;
    std::shared_ptr<const Terms> terms_;
    Milliseconds deadline_;
    PeerTable& peers_;
    Counters& counters_;
    Handler handler_;

    std::unordered_map<Nonce, Pending> pending_;
    AnswerTimes times_;
    BackPressure pressure_;
    std::vector<Nonce> unsent_;
    // Also has stale entries, of questions that were answered or put off meanwhile; these are
    // skipped.
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
    std::array<Nonce, 64> nonces_{}; // drawn many at a time, for each draw is a system call
    std::size_t nonces_left_ = 0;

    std::vector<Pending*> open_; // kept for their room
    Datagram outgoing_;
};

} // namespace ubf::ident
