#include "daemon/node_owners.hpp"

#include <optional>
#include <utility>

namespace ubf {

NodeOwners::NodeOwners(const Config& config, Counters& counters)
  : labeller_(job_table_, config.labels, counters.owners)
  , records_(config.owners.bpf,
             config.labels.slurm ? std::optional(cgroup_paths_.roots()) : std::nullopt)
  , tickets_(counters.portal)
  , investigator_(users_, labeller_, records_, cgroup_paths_, counters.owners,
                  [this](Cookie socket) { return tickets_.program_of(socket); })
  , sockets_(tickets_, Tickets::Use::look) {
    tickets_.set_portals(config.portal.users);
    investigator_.count_subordinates(config.policy.subids);
}

void NodeOwners::begin_jobs(const Config& config, Log& log, JobCounters& counters,
                            std::function<void(Uid)> changed) {
    jobs_ = std::make_unique<Jobs>(job_table_, config.labels.state_directory, log, counters,
                                   std::move(changed));
}

void NodeOwners::set_sources(const Config& config) {
    labeller_.set_sources(config.labels);
    tickets_.set_portals(config.portal.users);
    investigator_.count_subordinates(config.policy.subids);
    investigator_.forget_all();
}

void NodeOwners::watch(Life& life) const {
    for (const auto& heartbeat : investigator_.heartbeats())
        life.watch(heartbeat);
    life.watch(users_.heartbeat());
}

} // namespace ubf
