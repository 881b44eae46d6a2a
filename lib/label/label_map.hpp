// Labels that the administrator gives: to users, groups, and Slurm's accounts and partitions.
#pragma once

#include "base/types.hpp"
#include "label/label.hpp"
#include "label/slurm.hpp"

#include <span>
#include <string>
#include <vector>

namespace ubf {

struct LabelMapping {
    Label label; // of origin map
    std::vector<UidRange> users{};
    std::vector<Gid> groups{}; // by effective or supplementary group
    std::vector<std::string> accounts{};
    std::vector<std::string> partitions{};

    // job: the user's, or nullptr.
    bool applies(Uid uid, std::span<const Gid> groups_of_user, const Job* job) const;
    bool operator==(const LabelMapping&) const = default;
};

using LabelMap = std::vector<LabelMapping>;

} // namespace ubf
