#include "daemon/jobs/job_cgroups.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

namespace ubf {
namespace {

template<typename F>
std::vector<UniqueFd> open_children(const std::filesystem::path& parent, F&& wanted) {
    std::vector<UniqueFd> found;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(parent, error), end; !error && entry != end;
         entry.increment(error)) {
        if (!wanted(entry->path().filename().native()))
            continue;
        UniqueFd fd(::open(entry->path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (fd)
            found.push_back(std::move(fd));
    }
    return found;
}

bool exists(const std::vector<UniqueFd>& parents, const std::string& name) {
    for (const auto& parent : parents)
        if (::faccessat(parent.get(), name.c_str(), F_OK, 0) == 0)
            return true;
    return false;
}

} // namespace

JobCgroups::JobCgroups(const char* mount) {
    const std::filesystem::path top(mount);
    v1_ = open_children(top / "freezer", [](const std::string& name) {
        return name == "slurm" || name.starts_with("slurm_");
    });
    for (const auto& unified : {top, top / "unified"})
        for (auto& fd : open_children(unified / "system.slice", [](const std::string& name) {
                 return name == "slurmstepd.scope" || name.ends_with("_slurmstepd.scope");
             }))
            v2_.push_back(std::move(fd));
}

bool JobCgroups::has(const Job& job) const {
    return exists(v1_, fmt::format("uid_{}/job_{}", value(job.uid), job.id)) ||
           exists(v2_, fmt::format("job_{}", job.id)) ||
           (!job.sluid.empty() && exists(v2_, job.sluid));
}

} // namespace ubf
