// All by which this node knows the owners of its sockets: users, jobs and their labels, the
// kernel's records, and searches of /proc.
#pragma once

#include "config/config.hpp"
#include "daemon/core/counters.hpp"
#include "daemon/jobs/job_table.hpp"
#include "daemon/jobs/jobs.hpp"
#include "daemon/life.hpp"
#include "daemon/owners/cgroup_paths.hpp"
#include "daemon/owners/investigator.hpp"
#include "daemon/owners/labeller.hpp"
#include "daemon/owners/owner_records.hpp"
#include "daemon/owners/user_cache.hpp"
#include "daemon/tickets/portal_sockets.hpp"
#include "daemon/tickets/tickets.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace ubf {

class NodeOwners {
  public:
    // Loads BPF programs, and starts threads. Throws std::system_error.
    NodeOwners(const Config& config, Counters& counters);

    // Registers jobs from now on. changed: the labels of this user's processes are others.
    void begin_jobs(const Config& config, Log& log, JobCounters& counters,
                    std::function<void(Uid)> changed);
    // Other sources of labels: all that was found is forgotten.
    void set_sources(const Config& config);
    void watch(Life& life) const;
    void stop() { investigator_.stop(); }

    UserCache& users() { return users_; }
    Jobs& jobs() { return *jobs_; }
    std::vector<JobTable::Entry> all_jobs() const { return job_table_.list(); }
    std::size_t running_jobs() const { return job_table_.size(); }
    const CgroupPaths& cgroups() const { return cgroup_paths_; }
    const OwnerRecords& records() const { return records_; }
    Investigator& investigator() { return investigator_; }
    Sockets& sockets() { return sockets_; } // the main thread's
    Tickets& tickets() { return tickets_; }

  private:
    UserCache users_;
    JobTable job_table_;
    Labeller labeller_;
    CgroupPaths cgroup_paths_;
    OwnerRecords records_;
    Tickets tickets_;
    Investigator investigator_;
    std::unique_ptr<Jobs> jobs_;
    PortalSockets sockets_;
};

} // namespace ubf
