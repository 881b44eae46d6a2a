// Registers the jobs that begin and end on this node, for `ubfctl job`, and keeps them on disk. If
// a job's cgroup is gone, the job is over, even without `ubfctl job end`.
#pragma once

#include "daemon/core/counters.hpp"
#include "daemon/core/event_loop.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/jobs/job_table.hpp"
#include "daemon/log/log.hpp"

#include <functional>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace ubf {

class Jobs {
  public:
    using Json = nlohmann::ordered_json;
    // The labels of a user's processes changed.
    using Changed = std::function<void(Uid)>;

    // Loads the jobs from disk.
    Jobs(JobTable& table, const std::filesystem::path& directory, Log& log, JobCounters& counters,
         Changed changed);

    // Requests of the control socket, and the replies.
    Json begin(const Json& request);
    Json end(const Json& request);
    Json list() const;

    // Ends jobs whose cgroup is gone. To be called often; it limits its own rate.
    void look(TimePoint now);

  private:
    void look();
    void forget(const Job& job);

    JobTable& table_;
    JobStore store_;
    Log& log_;
    JobCounters& counters_;
    Changed changed_;
    std::unordered_set<std::uint32_t> seen_; // jobs whose cgroup was seen
    TimePoint next_look_{};
};

} // namespace ubf
