// ubf-rdmad's place in ubfd: takes its reports from the control socket, and replies with the
// judge's orders. Has a thread of its own, without a capability. While no ubf-rdmad reports, no
// connection of RDMA is judged, and the log and the status say so.
#pragma once

#include "base/guarded.hpp"
#include "daemon/core/loop_thread.hpp"
#include "daemon/fabric/rdma_judge.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/log/log.hpp"
#include "daemon/owners/investigator.hpp"

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace ubf {

class RdmaDesk {
  public:
    using Json = nlohmann::ordered_json;
    using Done = std::function<void(Owner)>;

    struct Shared { // each part may be used from any thread
        Counters& counters;
        PeerTable& peers;
        Investigator& investigator;
        Log& log;
    };

    struct Status {
        std::string state = "no ubf-rdmad has reported yet"; // "active", or why not
        std::size_t connections = 0;
        rdma::Report told{}; // the newest, without its lists
    };

    // Starts the thread. Throws std::system_error.
    RdmaDesk(ident::Asker& asker, std::shared_ptr<const RdmaRules> rules, Shared shared);
    ~RdmaDesk() { stop(); }

    void stop();
    void set_rules(std::shared_ptr<const RdmaRules> rules);
    void reconsider(Uid uid); // as the judge does
    // A request of the control socket. `reply` is called once, on our thread.
    void report(const Json& request, std::function<void(Json)> reply);
    // Who owns the source of this flow? Calls `done` on our thread. Not at all when we are stopped,
    // or while no ubf-rdmad reports: "unknown" would say that nobody has it.
    void find(const Flow& flow, Done done);

    Status status() const;
    const Heartbeat& heartbeat() const { return thread_.heartbeat(); }

  private:
    struct Waiting {
        std::function<void(Json)> reply;
        TimePoint until;
    };

    std::optional<TimePoint> next() const;
    void go_on(TimePoint now);
    void take(rdma::Report report, std::function<void(Json)> reply);
    void answer_waiting();
    void lose();
    void show();
    std::string state_of(const rdma::Report& told) const;

    Log& log_;
    ident::Asker& asker_;
    bool off_; // fabric.rdma
    RdmaJudge judge_;
    std::optional<std::uint64_t> session_; // of the ubf-rdmad that reports
    TimePoint heard_{};                    // from it, the last time
    TimePoint next_look_{};                // for devices that nobody watches
    bool missed_ = false;                  // the log has said that nobody watches
    std::optional<Waiting> waiting_;       // the newest report

    Guarded<Status> status_; // only our thread writes it

    LoopThread thread_{"rdma"};
};

} // namespace ubf
