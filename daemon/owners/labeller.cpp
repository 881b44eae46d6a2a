#include "daemon/owners/labeller.hpp"

#include "label/selinux.hpp"
#include "label/slurm.hpp"

#include <algorithm>

namespace ubf {
namespace {

// The labels of one process.
struct Found {
    std::vector<Label> labels;
    JobTable::Entry job;
    bool all = true; // false: it may have others, too
};

void add_job(Found& found, std::string_view cgroups, Uid uid, const JobTable& jobs) {
    const auto place = slurm_place(cgroups);
    if (!place.in_job)
        return;
    const auto job = jobs.find(place.job);
    // If the job is not registered, or is another user's, its label is not known.
    if (!job || job->uid != uid || (place.uid && *place.uid != uid)) {
        found.all = false;
        return;
    }
    found.job = job;
    if (!job->label.empty())
        found.labels.push_back({LabelOrigin::slurm, job->label});
}

void add_level(Found& found, std::string_view context) {
    const auto level = level_of_context(context);
    if (level && level->is_plain())
        return;
    if (auto label = level ? level->label() : std::nullopt)
        found.labels.push_back(std::move(*label));
    else
        found.all = false;
}

// Keeps the labels of all. If the processes differ, nobody knows the socket's labels.
void keep_common(Found& common, const Found& other) {
    if (common.labels != other.labels || common.job != other.job)
        common.all = false;
    common.all = common.all && other.all;
    std::erase_if(common.labels, [&](const Label& label) {
        return std::ranges::find(other.labels, label) == other.labels.end();
    });
    if (common.job != other.job)
        common.job = nullptr;
}

void add_mapped_to(Credentials& credentials, const LabelMap& map, Uid uid, const Job* job) {
    auto groups = credentials.groups;
    if (credentials.gid)
        groups.push_back(*credentials.gid);
    for (const auto& mapping : map)
        if (mapping.applies(uid, groups, job))
            credentials.labels.push_back(mapping.label);
}

bool has_groups(const LabelMap& map) {
    return std::ranges::any_of(map,
                               [](const LabelMapping& mapping) { return !mapping.groups.empty(); });
}

} // namespace

Labeller::Labeller(const JobTable& jobs, const Config::Labels& sources, OwnerCounters& counters)
  : jobs_(jobs)
  , counters_(counters)
  , sources_(std::make_shared<const Config::Labels>(sources)) {}

void Labeller::set_sources(const Config::Labels& sources) {
    auto fresh = std::make_shared<const Config::Labels>(sources);
    *sources_.lock() = std::move(fresh);
}

ProcessDetails Labeller::details() const {
    const auto sources = this->sources();
    return {sources->slurm, sources->selinux, sources->steps};
}

void Labeller::add_labels(Credentials& credentials, const SearchResult& processes, Uid uid) const {
    const auto sources = this->sources();
    std::optional<Found> common;
    for (const auto& holder : processes.holders) {
        if (holder.status.uid != uid)
            continue; // another user's process says nothing about this user
        Found found;
        if (sources->slurm)
            add_job(found, holder.cgroups, uid, jobs_);
        if (sources->selinux)
            add_level(found, holder.context);
        if (common)
            keep_common(*common, found);
        else
            common = std::move(found);
    }
    const bool by_process = sources->slurm || sources->selinux || has_groups(sources->map);
    credentials.labels_known = !by_process || (processes.complete && common && common->all);

    const Job* job = nullptr;
    if (common && processes.complete) {
        credentials.labels = std::move(common->labels);
        job = common->job.get();
        credentials.process.job = job == nullptr ? 0 : job->id;
    }
    add_mapped_to(credentials, sources->map, uid, job);
    count(credentials);
}

void Labeller::add_mapped(Credentials& credentials, Uid uid) const {
    credentials.labels_known = true;
    add_mapped_to(credentials, sources()->map, uid, nullptr);
    count(credentials);
}

void Labeller::count(const Credentials& credentials) const {
    for (const auto& label : credentials.labels)
        counters_.labels.add(label.origin);
    if (!credentials.labels_known)
        counters_.labels_unknown.add();
}

} // namespace ubf
