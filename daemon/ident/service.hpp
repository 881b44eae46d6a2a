// ident's own threads, which have no capability. They answer the questions of peers, and notify
// peers when a UDP socket that they asked about is gone. A peer's address selects the thread that
// gets its datagrams. Only the first thread is notified of closed sockets, so it does all work
// except questions about TCP.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/loop_thread.hpp"
#include "daemon/core/peer_shares.hpp"
#include "daemon/core/rate.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/inquiries.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/replay_window.hpp"
#include "daemon/ident/respondent.hpp"
#include "daemon/ident/told_flows.hpp"
#include "daemon/log/reporter.hpp"
#include "daemon/tickets/portal_sockets.hpp"
#include "daemon/udp/sent_flows.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "ident/socket.hpp"
#include "netlink/destroy_notices.hpp"

#include <functional>
#include <memory>

namespace ubf::ident {

class Service {
  public:
    // The threads share these.
    struct Shared {
        PeerTable& peers;
        Owners& owners;
        UdpFlows& udp_flows;
        SentFlows& sent_flows;
        Reporter& log;
        Counters& counters;
        Tickets& tickets;
    };
    // Starts the thread. socket: one of those of Channel::service; first: nullptr for the first
    // itself. Throws std::system_error.
    Service(const Socket& socket, std::shared_ptr<const Terms> terms, Milliseconds deadline,
            Shared shared, Service* first = nullptr);
    ~Service() { thread_.stop(); }

    void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline);
    // All are called on our thread, and give what they find once, on any thread. While one is
    // missing, such datagrams go unanswered.
    struct Handlers {
        // A peer withdraws the labels that it told of a TCP flow. The room is to be held until that
        // is done.
        std::function<void(const Flow&, const PeerShares::Room&)> withdrawn{};
        // Finds the owner of an end of an RDMA connection.
        std::function<void(const Flow&, std::function<void(Owner)>)> rdma{};
        // Decides for a peer.
        std::function<void(const Inquiry&, std::function<void(const Decision&)>)> inquiry{};
    };
    void on(Handlers handlers);
    // The processes of this user carry other labels than peers were told.
    void withdraw(Uid uid);
    void withdraw_all(); // the same for all users
    // Tells the connector's node, if that is a peer, what this node has refused; not always, where
    // much is refused. Only the first thread does.
    void tell(Refused refused);
    // Asks the node of the flow's destination how it would decide. Calls `heard` once, on our
    // thread. Only the first thread does.
    void inquire(const Flow& flow, std::optional<Uid> as, Milliseconds patience,
                 Inquiries::Heard heard);
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    std::optional<TimePoint> next() const;
    void go_on(TimePoint now);
    void receive();
    template<typename Entry>
    void hand_on(std::vector<Entry> entries, const Sender& sender);
    PeerShares::Room take_room(const Sender& sender, std::size_t entries);
    void handle(const Received& received, TimePoint now);
    void answer_version(const Received& received, TimePoint now);
    void handle(const std::vector<Question>& questions, const Sender& sender, TimePoint now);
    void answer_portal(const std::vector<Question>& questions, const Sender& sender, TimePoint now);
    void answer_others(const std::vector<Question>& others, const Sender& sender);
    void handle(const std::vector<Gone>& gone, const Sender& sender);
    void handle(const std::vector<GoneSeen>& seen, const Sender& sender);
    void handle(const std::vector<Refused>& refused, const Sender& sender);
    void handle(const std::vector<Inquiry>& inquiries, const Sender& sender);
    void handle(const std::vector<Decision>& decisions, const Sender& sender);
    void send(const Refused& refused, TimePoint now);
    void send_inquiries(TimePoint now);
    void answer_sent(std::vector<Question> questions, const Sender& sender);
    void ask_rdma(const Question& question, const Sender& sender);
    ToldFlows::StillThere still_there();
    void notice_destroyed();
    void tell(const std::vector<ToldFlows::Notice>& notices);
    void send(const Sender& to, Entries entries);

    const Socket& socket_;
    Inbox inbox_;
    std::shared_ptr<const Terms> terms_;
    const Shared shared_;
    Service* const first_; // nullptr: this one

    LoopThread thread_;
    DestroyNotices destroy_notices_{DestroyNotices::Of::udp};
    PortalSockets sockets_;
    std::vector<Cookie> gone_; // kept for its room
    ToldFlows told_;
    Respondent respondent_;
    ReplayWindow replay_{std::size_t{1} << 16};
    Handlers on_;
    struct Firsts { // the first thread's alone
        Inquiries inquiries{};
        Rate telling{};                 // of refusals
        PeerShares shares{16384, 4096}; // entries
    };
    Firsts firsts_;
};

} // namespace ubf::ident
