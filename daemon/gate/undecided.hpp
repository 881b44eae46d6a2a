// TCP connections that no worker knows. Some nobody has decided: they began while the ruleset was
// not whole, and nothing of the kernel's queues them any more. Others the kernel let in by itself,
// for it recognised both ends as one user's (daemon/recognition). Both are found among the sockets
// of the node. Once the ruleset is whole again, or the policy is another, they are judged as if
// they began now. A connection that is allowed goes on, and can be listed and ended like any other;
// all others are ended. Connections that a worker knows are judged once, too: another connection
// may have begun between the same ports.
//
// Connections that were there when ubfd began to watch are left alone: they are older than the
// ruleset, or a predecessor has decided them.
#pragma once

#include "base/node_settings.hpp"
#include "config/scope.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/gate/worker.hpp"
#include "daemon/log/log.hpp"
#include "netlink/link.hpp"
#include "netlink/tcp_connections.hpp"
#include "owner/lookup.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

namespace ubf {

class Undecided {
  public:
    using Workers = std::vector<std::unique_ptr<Worker>>;

    // Throws std::system_error.
    Undecided(const Workers& workers, Scope scope, FlowCounters& counters, Log& log);

    // All that is there now counts as decided.
    void pass_over_present();
    // The ruleset is whole again. There are several looks: a handshake may end a moment later, and
    // a connection that the kernel answered with a SYN cookie, two minutes later.
    void look_for_them(TimePoint now);
    // The policy is another than that by which the kernel recognised some.
    void judge_recognised(TimePoint now);
    // Hands the connections that the kernel recognised, of listeners of such users, to the workers.
    // They can be listed and ended like all others then. `done` is called on any thread. False, and
    // no call, if the kernel didn't list them.
    bool adopt(const std::function<bool(const UndecidedFlow&)>& recognisable,
               std::function<void()> done);
    // Other ports are watched now. Nobody was asked about connections to the new ones, and nobody
    // will be.
    // whole: whether the ruleset is.
    void set_scope(Scope scope, bool whole);

    // By the loop.
    std::optional<TimePoint> next() const { return next_; }
    void on_time(TimePoint now);

  private:
    // Facts that one look needs many times.
    struct Look {
        std::map<Address, std::optional<std::uint32_t>> interfaces; // of this node's addresses
        std::map<std::uint32_t, bool> watched_as_fabric;            // by interface
        struct Listener {
            bool is_there; // or may be
            std::optional<Uid> uid;
        };
        std::map<std::pair<Endpoint, std::uint32_t>, Listener> listeners;
        PortRange ephemeral = ephemeral_ports().value_or(PortRange{32768, 60999});
    };

    using Flows = std::vector<UndecidedFlow>;
    // Part by part, so that no worker is held up. The rest of each part goes to `unknown`, on some
    // worker's thread. After the last part `done` is called.
    struct Walk {
        Flows rest;
        std::function<void(const Flows&)> unknown;
        std::function<void()> done = [] {};
    };

    void pass_over_unwatched(); // so far
    void begin_looks(TimePoint now);
    void look(TimePoint now);
    std::optional<Flows> find(Look& look); // nothing: the kernel didn't say
    struct Where {
        std::uint32_t interface;
        bool fabric;
    };
    Where place_of(const TcpConnection& connection, Look& look);
    std::optional<UndecidedFlow> as_flow(const TcpConnection& connection, Look& look);
    std::optional<std::uint32_t> interface_with(const Address& address, Look& look) const;
    bool is_fabric(std::uint32_t interface, Look& look);
    bool in_scope(std::uint32_t interface, bool fabric, Port port) const;
    const Look::Listener& listener(const Endpoint& place, std::uint32_t interface, Look& look);
    bool was_accepted(const TcpConnection& connection, std::uint32_t interface, Look& look);
    void begin_part(std::shared_ptr<Walk> walk);
    void pass_on(std::size_t worker, Flows part, std::shared_ptr<Walk> walk);
    std::vector<Flows> shares(const Flows& flows) const; // one for each worker
    void tell_of(const Flows& unknown);
    void judge(const Flows& flows);

    const Workers& workers_;
    Scope scope_;
    FlowCounters& counters_;
    Log& log_;
    const std::uint32_t loopback_;
    TcpConnections connections_;
    OwnerLookup lookup_;
    Links links_;
    std::atomic<bool> was_whole_{true};  // the ruleset, when what we look for began
    std::unordered_set<Cookie> present_; // that were there before
    std::unordered_set<Cookie> judged_;  // or are to be
    std::optional<TimePoint> next_;      // look
    TimePoint last_{};                   // it is
};

} // namespace ubf
