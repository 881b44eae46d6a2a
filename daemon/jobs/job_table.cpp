#include "daemon/jobs/job_table.hpp"

#include <utility>

namespace ubf {

JobTable::Entry JobTable::find(std::string_view name) const {
    const auto names = names_.lock();
    const auto found = names->find(std::string(name));
    return found == names->end() ? nullptr : found->second;
}

std::vector<JobTable::Entry> JobTable::list() const {
    const auto names = names_.lock();
    std::vector<Entry> jobs;
    for (const auto& [name, job] : *names)
        if (name != job->sluid)
            jobs.push_back(job);
    return jobs;
}

std::size_t JobTable::size() const {
    return list().size();
}

JobTable::Entry JobTable::put(Job job) {
    const auto names = names_.lock();
    auto old = take(*names, job.id);
    const auto entry = std::make_shared<const Job>(std::move(job));
    (*names)[std::to_string(entry->id)] = entry;
    if (!entry->sluid.empty())
        (*names)[entry->sluid] = entry;
    return old;
}

JobTable::Entry JobTable::remove(std::uint32_t id) {
    const auto names = names_.lock();
    return take(*names, id);
}

JobTable::Entry JobTable::take(Names& names, std::uint32_t id) {
    const auto found = names.find(std::to_string(id));
    if (found == names.end())
        return nullptr;
    auto job = found->second;
    names.erase(found);
    if (!job->sluid.empty())
        names.erase(job->sluid);
    return job;
}

} // namespace ubf
