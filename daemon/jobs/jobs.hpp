// Registers the jobs that begin and end on this node, for `ubfctl job`, keeps them on disk, and
// notices those that ended without a word.
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
    // The processes of a user carry something else now.
    using Changed = std::function<void(Uid)>;

    // Takes up what was kept.
    Jobs(JobTable& table, const std::filesystem::path& directory, Log& log, Counters& counters,
         Changed changed);

    // Requests of the control socket, and what to answer.
    Json begin(const Json& request);
    Json end(const Json& request);
    Json list() const;

    // Ends those whose cgroup was there, and is not any more. To be called often; it looks as often
    // as is cheap.
    void look(TimePoint now);

  private:
    void look();
    void forget(const Job& job);

    JobTable& table_;
    JobStore store_;
    Log& log_;
    Counters& counters_;
    Changed changed_;
    std::unordered_set<std::uint32_t> seen_; // whose cgroup was there
    TimePoint next_look_{};
};

} // namespace ubf
