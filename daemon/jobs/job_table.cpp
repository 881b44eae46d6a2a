#include "daemon/jobs/job_table.hpp"

#include <utility>

namespace ubf {

JobTable::Entry JobTable::find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = by_name_.find(std::string(name));
    return found == by_name_.end() ? nullptr : found->second;
}

std::vector<JobTable::Entry> JobTable::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Entry> jobs;
    for (const auto& [name, job] : by_name_)
        if (name != job->sluid)
            jobs.push_back(job);
    return jobs;
}

std::size_t JobTable::size() const {
    return list().size();
}

JobTable::Entry JobTable::put(Job job) {
    const std::lock_guard lock(mutex_);
    auto old = take(job.id);
    const auto entry = std::make_shared<const Job>(std::move(job));
    by_name_[std::to_string(entry->id)] = entry;
    if (!entry->sluid.empty())
        by_name_[entry->sluid] = entry;
    return old;
}

JobTable::Entry JobTable::remove(std::uint32_t id) {
    const std::lock_guard lock(mutex_);
    return take(id);
}

JobTable::Entry JobTable::take(std::uint32_t id) {
    const auto found = by_name_.find(std::to_string(id));
    if (found == by_name_.end())
        return nullptr;
    auto job = found->second;
    by_name_.erase(found);
    if (!job->sluid.empty())
        by_name_.erase(job->sluid);
    return job;
}

} // namespace ubf
