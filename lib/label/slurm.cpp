#include "label/slurm.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <vector>

namespace ubf {
namespace {

bool lists_freezer(std::string_view controllers) {
    while (!controllers.empty())
        if (split(controllers, ',') == "freezer")
            return true;
    return false;
}

std::optional<SlurmPlace> place_v1(std::string_view path) {
    const auto top = split(path, '/');
    const auto uid = number_after<std::uint32_t>("uid_", split(path, '/'));
    const auto job = number_after<std::uint32_t>("job_", split(path, '/'));
    if (!is_slurm_top(top) || !uid || !job)
        return std::nullopt;
    return SlurmPlace{true, std::to_string(*job), Uid{*uid}};
}

std::optional<SlurmPlace> place_v2(std::string_view path) {
    const auto slice = split(path, '/');
    const auto scope = split(path, '/');
    const auto name = split(path, '/');
    if (slice != "system.slice" || name.empty() || !is_slurm_scope(scope))
        return std::nullopt;
    if (name == "system") // slurmstepd itself
        return std::nullopt;
    const auto job = number_after<std::uint32_t>("job_", name);
    return SlurmPlace{true, job ? std::to_string(*job) : std::string(name), std::nullopt};
}

} // namespace

bool is_slurm_top(std::string_view name) {
    return name == "slurm" || name.starts_with("slurm_");
}

bool is_slurm_scope(std::string_view name) {
    return name == "slurmstepd.scope" || name.ends_with("_slurmstepd.scope");
}

SlurmPlace slurm_place(std::string_view cgroups) {
    SlurmPlace place;
    while (!cgroups.empty()) {
        auto line = split(cgroups, '\n');
        const auto hierarchy = split(line, ':');
        const auto controllers = split(line, ':');
        if (!line.starts_with('/'))
            continue;
        line.remove_prefix(1);
        std::optional<SlurmPlace> found;
        if (hierarchy == "0" && controllers.empty())
            found = place_v2(line);
        else if (lists_freezer(controllers))
            found = place_v1(line);
        if (!found)
            continue;
        if (place.in_job && place.job != found->job)
            found->job.clear();
        place = std::move(*found);
    }
    return place;
}

} // namespace ubf
