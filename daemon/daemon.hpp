// ubfd, put together: what starts in which order, what a reload changes, how it stops.
#pragma once

#include "config/config.hpp"
#include "daemon/control/server.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/core/descriptor_store.hpp"
#include "daemon/core/loading.hpp"
#include "daemon/desks.hpp"
#include "daemon/fabric/rdma_desk.hpp"
#include "daemon/gates.hpp"
#include "daemon/ident_endpoint.hpp"
#include "daemon/life.hpp"
#include "daemon/log/log.hpp"
#include "daemon/main_loop.hpp"
#include "daemon/node_owners.hpp"
#include "daemon/recognition/recognition.hpp"
#include "daemon/ruleset_keeper.hpp"
#include "daemon/settings.hpp"
#include "daemon/surroundings.hpp"
#include "daemon/verdicts_in_kernel.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ubf {

class Daemon {
  public:
    using Options = Settings::Options;

    // Starts everything. Throws ConfigError, KeyError, QueueError, NftError, std::system_error;
    // nothing stays installed then.
    // store: what systemd kept for us; untouched where the configuration is at fault.
    Daemon(Options options, Config config, DescriptorStore& store);
    ~Daemon();

    // Runs until SIGTERM or SIGINT, and then removes the table, unless it is to be left or kept.
    void run();

  private:
    void begin();
    std::vector<std::unique_ptr<Queue>> open_queues();
    void begin_memory();
    void begin_gates(std::vector<std::unique_ptr<Queue>> queues);
    void begin_control();
    void add_commands();
    void install_ruleset();
    nft::Ownership keep_table_socket();
    void begin_recognition();
    void begin_pairs();
    Shared shared();

    void say_how_it_begins();
    void keep_descriptors();
    void watch_threads();
    void look(TimePoint now);
    std::string summary() const;
    void end();
    void stop(); // all threads

    // Nothing, or what is wrong with the file.
    std::optional<std::string> reload(Loading::Loaded loaded);
    void keep_as_last_good();
    void name_credential();
    void apply(Start fresh);
    void follow_sysctl();
    void ask_for_names(TimePoint now);
    void follow_roster();
    void follow_grants();
    void relabel(Uid uid);
    void with_recognised(const ControlServer::Reply& reply, const std::function<void()>& then);

    ControlServer::Json status(bool all_peers);

    // In the order of their dependence: each may use what stands above it. The signals are blocked
    // before any thread starts.
    DescriptorStore& store_;
    MainLoop main_;
    Counters counters_;
    Settings settings_;
    NodeOwners owners_;
    Log log_;
    VerdictsInKernel verdicts_;
    Recognition recognition_;
    IdentEndpoint ident_;
    Gates gates_;
    std::unique_ptr<RdmaDesk> rdma_;
    std::unique_ptr<Desks> desks_;
    std::unique_ptr<RulesetKeeper> ruleset_;
    Surroundings surroundings_{log_};
    Life life_;
};

} // namespace ubf
