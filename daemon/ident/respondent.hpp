// Answers the questions of peers: who has the socket at this node's end of a flow. All is called by
// ident's thread; nothing here waits. If the credentials take a search, the uid is sent at once,
// and the rest follows.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/ident/told_flows.hpp"
#include "daemon/owners/owners.hpp"
#include "daemon/owners/sockets.hpp"
#include "ident/wire.hpp"

#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

namespace ubf::ident {

// The sender of a datagram.
struct Sender {
    Path path; // to us
    std::uint32_t interface;
    Channel channel;
    bool sealed = false; // so the answer is, too
};

class Respondent {
  public:
    struct Ways {
        std::function<void(const Sender& to, std::vector<Answer> answers)> send;
        // If this node's NAT translates a flow, finds the flow before that, on any thread; else
        // nothing. False if too many wait: then it is not called.
        std::function<bool(const Address& asker, const Flow&,
                           std::function<void(std::optional<Flow>)>)>
            find_original;
        ReadClock clock = Clock::now; // when something was found
    };

    // told: remembers what peers rely on. mailbox: of the thread, for what other threads find.
    Respondent(Sockets& sockets, Owners& owners, ToldFlows& told, Counters& counters,
               Mailbox& mailbox, Milliseconds deadline, Ways ways);

    void set_deadline(Milliseconds deadline) { deadline_ = deadline; }
    // All of one peer. The caller has checked that the peer may ask them.
    void answer(const std::vector<Question>& questions, const Sender& sender, TimePoint now);
    // The same of questions about TCP listeners, for which no packet waits.
    void answer_listeners(const std::vector<Question>& questions, const Sender& sender,
                          TimePoint now);
    // Answers of searches that ended in this round: those to one asker share a datagram.
    void send_ready();

  private:
    struct Ready {
        Sender to;
        Answer answer;
    };

    // Nothing if the answer comes later.
    std::optional<Answer> answer_of(const Question& question, const OwnerLookup::Found& found,
                                    const Sender& sender, TimePoint now);
    std::optional<Answer> listener_at(const Question& question, const Sender& sender,
                                      TimePoint now);
    bool look_behind(const Question& question, const Sender& sender);
    std::optional<Owner> owner_of(const Question& question, const OwnerLookup::Found& found,
                                  const Sender& sender);
    std::optional<Answer> investigate(const Question& question, const SocketOwner& found,
                                      const Sender& sender, TimePoint now);
    bool search(const Question& question, const SocketOwner& found, const Sender& sender,
                TimePoint deadline);
    void remember_labels(const Question& question, Cookie cookie, const Owner& owner,
                         const Sender& sender, TimePoint now);

    Sockets& sockets_;
    Owners& owners_;
    ToldFlows& told_;
    Counters& counters_;
    Mailbox& mailbox_;
    Milliseconds deadline_;
    const Ways ways_;
    std::set<std::tuple<Address, Channel, Nonce>> searches_; // questions that wait for one
    std::vector<Ready> ready_;
};

} // namespace ubf::ident
