// ident's own threads, which have no capability. They answer the questions of peers, and notify
// peers when a UDP socket that they asked about is gone. A peer's address selects the thread that
// gets its datagrams. Only the first thread is notified of closed sockets, so it does all work
// except questions about TCP.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/heartbeat.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/ident/guard.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/replay_window.hpp"
#include "daemon/ident/told_flows.hpp"
#include "daemon/owners/investigator.hpp"
#include "daemon/udp/sent_flows.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "ident/socket.hpp"
#include "netlink/destroy_notices.hpp"
#include "owner/lookup.hpp"

#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <tuple>

namespace ubf::ident {

class Service {
  public:
    // The threads share these.
    struct Shared {
        PeerTable& peers;
        Investigator& investigator;
        UdpFlows& udp_flows;
        SentFlows& sent_flows;
        Counters& counters;
    };
    // Starts the thread. socket: one of those of Channel::service; first: nullptr for the first
    // itself. Throws std::system_error.
    Service(const Socket& socket, std::shared_ptr<const Terms> terms, Milliseconds deadline,
            Shared shared, Service* first = nullptr);
    ~Service();

    void set_terms(std::shared_ptr<const Terms> terms, Milliseconds deadline);
    // Called on our thread when a peer withdraws the labels that it told of a TCP flow.
    void on_withdrawn(std::function<void(const Flow&)> withdrawn);
    // Finds the owner of an end of an RDMA connection, and gives the answer once, on any thread.
    // Without it, questions about such ends go unanswered.
    using FindRdma = std::function<void(const Flow&, std::function<void(Owner)>)>;
    void on_rdma(FindRdma find);
    // The processes of this user carry other labels than peers were told.
    void withdraw(Uid uid);
    void withdraw_all(); // the same for all users
    const Heartbeat& heartbeat() const { return heartbeat_; }

  private:
    // The sender of a datagram.
    struct Sender {
        Path path; // to us
        std::uint32_t interface;
        Channel channel;
    };

    void run();
    void receive();
    template<typename Entry>
    void hand_on(std::vector<Entry> entries, const Sender& sender);
    void handle(const Received& received);
    void answer_version(const Received& received);
    void handle(const std::vector<Question>& questions, const Sender& sender);
    void answer_others(std::vector<Question> others, const Sender& sender);
    void handle(const std::vector<Gone>& gone, const Sender& sender);
    void handle(const std::vector<GoneSeen>& seen, const Sender& sender);
    void answer(const std::vector<Question>& questions, const Sender& sender);
    void answer_sent(std::vector<Question> questions, const Sender& sender);
    void ask_rdma(const Question& question, const Sender& sender);
    Answer answer_of(const Question& question, const OwnerLookup::Found& found,
                     const Sender& sender);
    bool look_behind(const Question& question, const Sender& sender);
    std::optional<Owner> owner_of(const Question& question, const OwnerLookup::Found& found,
                                  const Sender& sender);
    Answer investigate(const Question& question, const SocketOwner& found, const Sender& sender);
    bool search(const Question& question, const SocketOwner& found, const Sender& sender,
                TimePoint deadline);
    void notice_destroyed();
    void tell(const std::vector<ToldFlows::Notice>& notices);
    void remember_labels(const Question& question, Cookie cookie, const Owner& owner,
                         const Sender& sender);
    void send(const Sender& to, Entries entries);
    void send_ready();

    const Socket& socket_;
    Inbox inbox_;
    std::shared_ptr<const Terms> terms_;
    Milliseconds deadline_;
    const Shared shared_;
    Service* const first_; // nullptr: this one

    EventLoop loop_;
    Mailbox mailbox_;
    DestroyNotices destroy_notices_{DestroyNotices::Of::udp};
    OwnerLookup lookup_;
    std::vector<Cookie> gone_; // kept for its room
    ToldFlows told_;
    const ToldFlows::StillThere still_there_ = [this](const Flow& flow, const auto& told) {
        return lookup_.sender(flow, told.interface).has_value();
    };
    std::set<std::tuple<Address, Channel, Nonce>> searches_; // questions that wait for one
    // Answers of searches that ended in this round: those to one asker share a datagram.
    struct Ready {
        Sender to;
        Answer answer;
    };
    std::vector<Ready> ready_;
    ReplayWindow replay_{std::size_t{1} << 16};
    std::function<void(const Flow&)> withdrawn_;
    FindRdma find_rdma_;
    bool stopping_ = false;
    Heartbeat heartbeat_;
    std::thread thread_;
};

} // namespace ubf::ident
