// ubfd, put together: what starts in which order, what a reload changes, how it stops.
#pragma once

#include "config/config.hpp"
#include "daemon/control/explain.hpp"
#include "daemon/control/flows.hpp"
#include "daemon/control/refusal_desk.hpp"
#include "daemon/control/server.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/descriptor_store.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/core/mailbox.hpp"
#include "daemon/fabric/rdma_desk.hpp"
#include "daemon/gate/exempt_listeners.hpp"
#include "daemon/gate/undecided.hpp"
#include "daemon/gate/worker.hpp"
#include "daemon/ident/asker.hpp"
#include "daemon/ident/peer_table.hpp"
#include "daemon/ident/service.hpp"
#include "daemon/jobs/job_table.hpp"
#include "daemon/jobs/jobs.hpp"
#include "daemon/life.hpp"
#include "daemon/log/log.hpp"
#include "daemon/log/refusals.hpp"
#include "daemon/owners/investigator.hpp"
#include "daemon/owners/labeller.hpp"
#include "daemon/owners/owner_records.hpp"
#include "daemon/owners/user_cache.hpp"
#include "daemon/recognition/recognition.hpp"
#include "daemon/ruleset_keeper.hpp"
#include "daemon/start.hpp"
#include "daemon/surroundings.hpp"
#include "daemon/temporary_exceptions.hpp"
#include "daemon/udp/udp_flows.hpp"
#include "daemon/unknown_names.hpp"
#include "ident/socket.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace ubf {

class Daemon {
  public:
    struct Options {
        std::filesystem::path config_file;
        // We keep the last good configuration in this file, for the next start; empty: nowhere.
        std::filesystem::path last_good{};
        bool leave_ruleset = false; // systemd's unit sees to the table when we are stopped
        std::string mistake{};      // of config_file, where we start with the last good one
    };

    // Starts everything. Throws ConfigError, KeyError, QueueError, NftError, std::system_error;
    // nothing stays installed then.
    // store: what systemd kept for us; untouched where the configuration is at fault.
    Daemon(Options options, Config config, DescriptorStore& store);
    ~Daemon();

    // Runs until SIGTERM or SIGINT, and then removes the table, unless it is to be left or kept.
    void run();

  private:
    void handle_signal();
    // Nothing, or what is wrong with the file.
    std::optional<std::string> reload();
    void keep_as_last_good();
    void apply(Start fresh);
    std::size_t flows_remembered() const;
    void follow_sysctl();
    void ask_for_names(TimePoint now);
    void name_unknown();
    std::vector<std::unique_ptr<Queue>> open_queues();
    void begin_ident();
    void begin_gate(std::vector<std::unique_ptr<Queue>> queues);
    void begin_control();
    Shared shared();
    void say_how_it_begins();
    void keep_descriptors();
    void look(TimePoint now);
    void end();
    void watch_threads();
    std::string summary() const;
    void install_ruleset();
    nft::Ownership keep_table_socket();
    void open_ident(std::size_t channels);
    void relabel(Uid uid);
    void begin_recognition();
    void with_recognised(const ControlServer::Reply& reply, const std::function<void()>& then);
    void keep(const char* name, int fd);
    void stop_workers();
    void handle(const ControlServer::Json& request, const ControlServer::Reply& reply);
    ControlServer::Json handle_users(const ControlServer::Json& request, Uid asker) const;
    void begin_memory();
    ControlServer::Json allow(const ControlServer::Json& request);
    void apply_exceptions();
    void end_exceptions();
    ControlServer::Json status(bool all_peers);
    ControlServer::Json settings() const;
    ControlServer::Json ruleset_status() const;
    ControlServer::Json verdicts_in_kernel() const;
    std::vector<std::string> all_warnings() const;

    const Options options_;
    std::string mistake_; // of the file, while an older configuration holds
    UnknownNames names_;
    const std::chrono::system_clock::time_point since_ = std::chrono::system_clock::now();
    const TimePoint started_ = Clock::now();

    // In the order of their dependence: each may use what stands above it. The signals are blocked
    // before any thread starts.
    DescriptorStore& store_;
    UniqueFd signals_;
    Counters counters_;
    PeerTable peers_;
    UserCache users_;
    Refusals refusals_;
    Log log_;
    TemporaryExceptions exceptions_;
    Start start_;
    nft::Connection table_; // all that writes into the table goes through it
    JobTable job_table_;
    Labeller labeller_;
    LatelySent lately_sent_;
    CgroupPaths cgroup_paths_;
    UdpReceivers udp_receivers_;
    UdpFlows udp_flows_;
    SentFlows sent_flows_{lately_sent_};
    ExemptListeners exempt_listeners_;
    OwnerRecords records_;
    Recognition recognition_;
    Investigator investigator_;
    EventLoop loop_;
    std::vector<ident::Socket> ident_sockets_; // by channel; and, last, the lane of the unproven
    std::vector<std::unique_ptr<ident::Asker>> askers_;
    LabelledRoom labelled_room_;
    std::unique_ptr<RdmaDesk> rdma_;
    std::vector<std::unique_ptr<ident::Service>> services_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unique_ptr<Undecided> undecided_;
    std::unique_ptr<FlowDesk> flow_desk_;
    std::unique_ptr<Jobs> jobs_;
    KernelSockets sockets_; // for explain
    std::unique_ptr<Explainer> explainer_;
    RefusalDesk refusal_desk_{refusals_};
    std::unique_ptr<ControlServer> control_;
    std::unique_ptr<ControlServer> user_control_; // every user's
    std::unique_ptr<RulesetKeeper> ruleset_;
    Surroundings surroundings_{log_};
    Life life_;
    Mailbox mailbox_; // for what other threads have done for us
    bool stopping_ = false;
};

} // namespace ubf
