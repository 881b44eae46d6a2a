#include "daemon/jobs/job_cgroups.hpp"

#include <fmt/format.h>
#include <utility>

namespace ubf {
namespace {

namespace fs = std::filesystem;

// Calls `each` for every entry; false if the folder could not be read. A missing folder has none:
// cgroups come and go at any time.
template<typename F>
bool read_folder(const fs::path& folder, F&& each) {
    std::error_code error;
    bool good = true;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error))
        good &= each(entry->path(), entry->path().filename().native());
    return good && (!error || error == std::errc::no_such_file_or_directory ||
                    error == std::errc::not_a_directory);
}

} // namespace

std::optional<JobCgroups> JobCgroups::read(const fs::path& mount) {
    JobCgroups found;
    bool good = read_folder(mount / "freezer", [&](const fs::path& top, const std::string& name) {
        if (!is_slurm_top(name))
            return true;
        return read_folder(top, [&](const fs::path& user, const std::string& uid) {
            if (!uid.starts_with("uid_"))
                return true;
            return read_folder(user, [&](const fs::path&, const std::string& job) {
                if (job.starts_with("job_"))
                    found.v1_.insert(uid + '/' + job);
                return true;
            });
        });
    });
    for (const auto& unified : {mount, mount / "unified"})
        good &= read_folder(unified / "system.slice",
                            [&](const fs::path& scope, const std::string& name) {
                                if (!is_slurm_scope(name))
                                    return true;
                                return read_folder(scope, [&](const fs::path&, std::string job) {
                                    found.v2_.insert(std::move(job));
                                    return true;
                                });
                            });
    return good ? std::optional(std::move(found)) : std::nullopt;
}

bool JobCgroups::has(const Job& job) const {
    const auto name = fmt::format("job_{}", job.id);
    return v2_.contains(name) || (!job.sluid.empty() && v2_.contains(job.sluid)) ||
           v1_.contains(fmt::format("uid_{}/{}", value(job.uid), name));
}

} // namespace ubf
