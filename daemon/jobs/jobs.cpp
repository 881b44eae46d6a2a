#include "daemon/jobs/jobs.hpp"

#include "daemon/jobs/job_cgroups.hpp"
#include "daemon/jobs/job_json.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace ubf {
namespace {

// The pause after a look is so many times the look's length. So looks take half a percent of a CPU,
// however many jobs there are. But the pause has a maximum.
constexpr int rarity = 200;
constexpr std::chrono::seconds longest_pause{5};

} // namespace

Jobs::Jobs(JobTable& table, const std::filesystem::path& directory, Log& log, JobCounters& counters,
           Changed changed)
  : table_(table)
  , store_(directory)
  , log_(log)
  , counters_(counters)
  , changed_(std::move(changed)) {
    for (auto& kept : store_.load()) {
        if (kept.seen)
            seen_.insert(kept.job.id);
        table_.put(std::move(kept.job));
    }
}

Jobs::Json Jobs::begin(const Json& request) {
    auto job = job_of(request);
    if (!job) {
        counters_.refused.add();
        log_.warning(fmt::format("a job was not registered, so it has no label: {}", job.error()));
        return {{"ok", false}, {"error", job.error()}};
    }
    counters_.begun.add();
    const auto old = table_.put(*job);
    seen_.erase(job->id);
    if (!old || *old != *job)
        changed_(job->uid);
    if (old && old->uid != job->uid)
        changed_(old->uid);
    try {
        store_.save({*job, false});
    } catch (const std::exception& error) {
        log_.warning(fmt::format("job {} is registered, but could not be saved, so a restart of "
                                 "ubfd forgets it: {}",
                                 job->id, error.what()));
    }
    return {{"ok", true}};
}

Jobs::Json Jobs::end(const Json& request) {
    const auto found = request.find("job");
    if (found == request.end() || !found->is_number_unsigned())
        return {{"ok", false}, {"error", "job is not the number of a job"}};
    // An Epilog may run for a job that ended already.
    if (const auto job = table_.find(std::to_string(found->get<std::uint64_t>()))) {
        counters_.ended.add();
        forget(*job);
    }
    return {{"ok", true}};
}

Jobs::Json Jobs::list() const {
    auto jobs = Json::array();
    for (const auto& job : table_.list()) {
        jobs.push_back(to_json(*job));
        jobs.back()["seen"] = seen_.contains(job->id);
    }
    return {{"ok", true}, {"jobs", jobs}};
}

void Jobs::look(TimePoint now) {
    if (now < next_look_)
        return;
    const auto begun = Clock::now();
    look();
    const auto took = Clock::now() - begun;
    next_look_ = now + std::min<Clock::duration>(rarity * took, longest_pause);
}

void Jobs::look() {
    const auto jobs = table_.list();
    if (jobs.empty())
        return;
    const auto cgroups = JobCgroups::read();
    if (!cgroups)
        return;
    for (const auto& job : jobs) {
        if (cgroups->has(*job)) {
            if (!seen_.insert(job->id).second)
                continue;
            try {
                store_.save({*job, true});
            } catch (const std::exception&) {
                // begin() has logged the fault.
            }
        } else if (seen_.contains(job->id)) {
            counters_.vanished.add();
            log_.info(fmt::format("job {} is over: its cgroup is gone", job->id));
            forget(*job);
        }
    }
}

void Jobs::forget(const Job& job) {
    const auto copy = job;
    table_.remove(copy.id);
    seen_.erase(copy.id);
    store_.remove(copy.id);
    changed_(copy.uid);
}

} // namespace ubf
