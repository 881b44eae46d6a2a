// This node's end of ident: its sockets, those who ask peers, those who answer them, and the
// record of the peers.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/service.hpp"
#include "daemon/life.hpp"
#include "daemon/log/log.hpp"
#include "daemon/node_owners.hpp"
#include "daemon/settings.hpp"
#include "daemon/verdicts_in_kernel.hpp"
#include "ident/socket.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace ubf {

class IdentEndpoint {
  public:
    IdentEndpoint(NodeOwners& owners, VerdictsInKernel& verdicts, Log& log, Counters& counters);

    // Answers peers from now on. kept: a predecessor's socket. Throws std::system_error.
    void begin(const Settings& settings, UniqueFd kept, EventLoop& loop);
    void set_terms(const Rules& rules);
    // The processes of this user carry other labels than peers were told, or those of all do.
    void withdraw(Uid uid);
    void withdraw_all();
    void watch(Life& life) const;
    void stop(); // answering

    PeerTable& peers() { return peers_; }
    const PeerTable& peers() const { return peers_; }
    ident::Asker& of_gate(std::size_t number) { return *askers_[number]; }
    ident::Asker& of_explain() { return *askers_[askers_.size() - 3]; }
    ident::Asker& of_rdma() { return *askers_[askers_.size() - 2]; }
    ident::Asker& of_portals() { return *askers_.back(); }
    ident::Service& first_service() { return *services_.front(); }
    int fd() const { return sockets_.front().fd(); } // for a successor

  private:
    void open(const Settings& settings, std::size_t channels, UniqueFd kept);

    NodeOwners& owners_;
    VerdictsInKernel& verdicts_;
    Log& log_;
    Counters& counters_;
    PeerTable peers_;
    std::vector<ident::Socket> sockets_; // by channel; and, last, the lane of the unproven
    std::vector<std::unique_ptr<ident::Asker>> askers_; // of gates, explain, rdma, portals
    std::vector<std::unique_ptr<ident::Service>> services_;
};

} // namespace ubf
